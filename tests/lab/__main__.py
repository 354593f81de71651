"""The lab from a shell: `python -m tests.lab --help`."""

from __future__ import annotations

import argparse
import os
import sys

from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.requirements import install_missing, unsupported_reason
from tests.lab.shell import environment

MACHINE_ACTIONS = {
    "reboot": "restart it in good order",
    "shutdown": "switch it off in good order",
    "crash": "cut its power: nothing is synced",
    "start": "switch it on, with the disk it had",
    "cut": "take it off the network",
    "restore": "put it back on the network",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="python -m tests.lab", description="Real machines to try the role on.")
    top.add_argument("--lab", default="default", metavar="NAME", help="which lab; several can run at once")
    actions = top.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("install", help="install the Debian packages that the lab needs here, if root")
    actions.add_parser("up", help="start the machines, building their image if needed")
    actions.add_parser("down", help="end the machines and take the network away")
    actions.add_parser("destroy", help="down, and forget disks and keys too")
    actions.add_parser("status", help="say which machines run")
    ssh = actions.add_parser("ssh", help="open a shell in a machine, or run a command there")
    ssh.add_argument("machine")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    actions.add_parser("console", help="show what a machine's console said").add_argument("machine")
    for name, text in MACHINE_ACTIONS.items():
        actions.add_parser(name, help=text).add_argument("machine")
    actions.add_parser("reset", help="fresh disks for some machines, or all").add_argument("machines", nargs="*")
    return top


def status(lab: Lab) -> int:
    """Print a line for each machine; return 0 if all run."""
    for machine in lab.machines.values():
        pid = machine.guest.pid()
        print(f"{machine.name:12} {machine.address:14} {f'runs as process {pid}' if pid else 'is off'}")
    return 0 if lab.is_up else 1


def act_on_machine(lab: Lab, action: str, name: str) -> None:
    """Run an action on one machine."""
    machine = lab[name]
    if action == "reboot":
        machine.reboot()
    elif action == "shutdown":
        machine.shutdown()
    elif action == "crash":
        machine.crash()
    elif action == "start":
        machine.start()
        machine.wait_for_boot()
    elif action == "cut":
        machine.cut_network()
    elif action == "restore":
        machine.restore_network()


def run(arguments: argparse.Namespace) -> int:
    """Run the command line and return the exit status."""
    if arguments.action == "install":
        install_missing()
        return 0
    if arguments.action not in ("status", "console") and (reason := unsupported_reason()):
        raise LabError(reason)
    lab = Lab(arguments.lab)
    if arguments.action == "up":
        lab.up()
    elif arguments.action == "down":
        lab.down()
    elif arguments.action == "destroy":
        lab.destroy()
    elif arguments.action == "status":
        return status(lab)
    elif arguments.action == "ssh":
        argv = lab[arguments.machine].connection.argv("root", shared=False)
        os.execvpe(argv[0], [*argv, *arguments.command], environment())
    elif arguments.action == "console":
        print(lab[arguments.machine].console_log(), end="")
    elif arguments.action == "reset":
        lab.reset(*arguments.machines)
    else:
        act_on_machine(lab, arguments.action, arguments.machine)
    return 0


def main() -> int:
    """Entry point: print an error that the user can act on as one message, without a traceback."""
    try:
        return run(parser().parse_args())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: interrupted; `python -m tests.lab down` ends what was started", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
