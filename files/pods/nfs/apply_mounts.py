"""Mounts, remounts or cycles mount units; stops the users of a mount before, and starts them after.

Without `cycle` it runs `remount` and starts the units of `start`. With it, it stops the service and the agents of this
install (never a gateway) and unmounts all of `mounts`. Then it starts the units of `start`, every unit that was mounted
before, and the service if it ran.

Each command has a deadline, and so has the whole: WORK_TIMEOUT for the request, RECOVERY_TIMEOUT to restore the earlier
state after a failure. Both together are less than the operation's own timeout (tasks/mounts.py). Reply: {"stopped":
[name…], "started": [name…]}. On failure the last line of standard error is the reason. Then what was mounted is mounted
again if possible, and the service runs.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress

from files.pods.common.docker import agent_ids, list_agents_argv, stop_argv
from files.pods.common.mountinfo import mount_table
from files.pods.common.protocol import read_request
from files.pods.common.sanitize import escape_control
from files.pods.nfs.protocol import ApplyMountsRequest, MountServer, MountUnit

REASONS = (
    ("access denied by server", "the server refuses this machine: it has no export of {path} for this address"),
    ("Operation not permitted", "the server refuses this machine: it has no export of {path} for this address"),
    ("No such file or directory", "the server has no {path}, or does not export it to this address"),
    ("not supported", "the server does not speak this NFS version or transport"),
    ("incorrect mount option", "a mount option is wrong"),
    ("timed out", "the server does not answer"),
    ("refused", "no NFS server listens there"),
    ("No route", "the server cannot be reached"),
    ("unreachable", "the server cannot be reached"),
)


WORK_TIMEOUT, RECOVERY_TIMEOUT = 600, 240  # seconds
BUSY_TIMEOUT = 120
"""Seconds that what still uses a mount has to end by itself: more than the grace period of a server that was just
started again, for which it grants no lock (nfsd(7), 90 s by default)."""


class FailedError(Exception):
    """A step failed; the text says why."""


class Clock:
    """The deadline of the whole run (monotonic clock)."""

    end = time.monotonic() + WORK_TIMEOUT


def run(argv: list[str], seconds: float) -> tuple[int, str]:
    """Exit status and output; a command that does not end in time is killed and not waited for."""
    seconds = min(seconds, Clock.end - time.monotonic())
    if seconds <= 0:
        raise FailedError(f"no time was left for: {' '.join(argv)}")
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = child.communicate(timeout=seconds)[0].decode(errors="replace").strip()
        return child.returncode, output
    except subprocess.TimeoutExpired:
        child.kill()
        return 124, f"{argv[0]} did not end within {seconds:.0f} s"


def run_checked(argv: list[str], seconds: float) -> str:
    """Run a command and return its output. Raises FailedError."""
    status, output = run(argv, seconds)
    if status != 0:
        raise FailedError(f"{' '.join(argv)}: {output or f'status {status}'}")
    return output


def is_mounted(path: str) -> bool:
    """Return whether something is mounted at a path."""
    return any(mount.point == path for mount in mount_table())


def check_port(address: str, port: int) -> None:
    """Connect to the server's port. Raises FailedError."""
    try:
        socket.create_connection((address, port), timeout=10).close()
    except OSError as error:
        why = "no NFS server listens there" if isinstance(error, ConnectionRefusedError) else "it cannot be reached"
        raise FailedError(f"{address} port {port}: {why} ({error or 'no answer'})") from error


def target_of(link: str) -> str:
    """Return the target of a link, or an empty string if it is gone: a process may close files meanwhile."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def processes_below(path: str) -> str:
    """Return the processes with open files below a path. Links in /proc cause no request to the server."""
    processes = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
            links += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
            targets = [target for link in links if (target := target_of(link))]
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
                name = escape_control(file.read().strip())  # what it calls itself
        except OSError:
            continue
        if any(target == path or target.startswith(path + "/") for target in targets):
            processes.append(f"{pid} ({name})")
    return ", ".join(processes) or "none that /proc shows"


def start(unit: str, server: MountServer | None) -> None:
    """Start a mount unit. Raises FailedError with the reason from mount(8)."""
    began = int(time.time())
    run(["systemctl", "reset-failed", unit], 30)
    status, output = run(["systemctl", "start", unit], 150)
    if status == 0:
        return
    journal = ["journalctl", f"--unit={unit}", f"--since=@{began - 1}", "--lines=20", "--output=cat", "--no-pager"]
    lines = [line for line in run(journal, 30)[1].splitlines() if line.startswith(("mount", "umount"))]
    output = "; ".join(lines) or output
    path = server.path if server else ""
    reason = next((why.format(path=path) for text, why in REASONS if text in output), "mount(8) failed")
    raise FailedError(f"{unit} does not start: {reason} ({output})")


def unmount(unit: str, path: str, lazy: bool) -> None:
    """Stop a mount unit, and wait until nothing uses the mount. Raises FailedError."""
    output = run(["systemctl", "stop", unit], 40)[1]
    # The service's KillMode leaves its children to end by themselves, as it has to for agents.
    begun, is_reported = time.monotonic(), False
    while is_mounted(path):
        output = run(["umount", path], 40)[1] or output
        waited = time.monotonic() - begun
        if "busy" not in output or waited > BUSY_TIMEOUT:
            break
        if waited > 5 and not is_reported:
            print(f"waiting up to {BUSY_TIMEOUT} s for what uses {path}: {processes_below(path)}", flush=True)
            is_reported = True
        time.sleep(0.5)
    for option in ("-f", "-l") if lazy else ():
        if is_mounted(path):
            output = run(["umount", option, path], 40)[1] or output
    if is_mounted(path):
        raise FailedError(f"{path} cannot be unmounted: {output}; processes that use it: {processes_below(path)}")


def stop_users(service: str, install: str, stopped: list[str]) -> None:
    """Stop the service and its agents; append each to `stopped`, which must start again after a failure."""
    if run(["systemctl", "is-active", "--quiet", service], 30)[0] == 0:
        run_checked(["systemctl", "stop", service], 150)
        stopped.append(service)
    if shutil.which("docker") and run(["systemctl", "is-active", "--quiet", "docker.service"], 30)[0] == 0:
        containers = agent_ids(run_checked(list_agents_argv(install), 60))
        if containers:
            run(stop_argv(containers, grace=10), 180)
            if left := agent_ids(run_checked(list_agents_argv(install), 60)):
                raise FailedError(f"agent containers do not stop: {' '.join(left)}")
            stopped += [f"container {name}" for name in containers]


def cycle(request: ApplyMountsRequest) -> tuple[list[str], list[str]]:
    """Stop all users, unmount, mount and start again; return what was stopped and started."""
    before = [mount for mount in request.mounts if is_mounted(mount.path)]
    stopped: list[str] = []
    started: list[str] = []
    try:
        stop_users(request.service, request.install, stopped)
        for mount in reversed(before):
            unmount(mount.unit, mount.path, request.lazy)
        order = [mount.unit for mount in request.mounts]
        for unit in sorted({*request.start, *(mount.unit for mount in before)}, key=order.index):
            start(unit, request.server)
            started.append(unit)
        if request.service in stopped:
            run_checked(["systemctl", "start", request.service], 150)
            started.append(request.service)
    except FailedError:
        with suppress(FailedError):
            restore(before, request.service if request.service in stopped else None)
        raise
    return stopped, started


def restore(before: list[MountUnit], service: str | None) -> None:
    """Mount and start what ran before the failure, as far as the time allows."""
    Clock.end = time.monotonic() + RECOVERY_TIMEOUT
    for mount in before:
        if not is_mounted(mount.path):
            run(["systemctl", "start", mount.unit], 150)
    if service and all(is_mounted(mount.path) for mount in before):
        run(["systemctl", "start", service], 150)


def main(request: ApplyMountsRequest) -> dict[str, list[str]]:
    """Carry out the request."""
    if request.server:
        check_port(request.server.address, request.server.port)
    if request.cycle:
        stopped, started = cycle(request)
        return {"stopped": stopped, "started": started}
    for argv in request.remount:
        run_checked(argv, 60)
    for unit in request.start:
        start(unit, request.server)
    return {"stopped": [], "started": request.start}


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(ApplyMountsRequest))))
    except FailedError as failure:
        sys.exit(str(failure))
