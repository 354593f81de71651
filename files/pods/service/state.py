"""State of a machine's NanoClaw service: unit, files, logs, inputs of its last start, and rivals.

Changes nothing.
"""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import shutil

from files.pods.common.lstat_below import lstat_below
from files.pods.common.protocol import print_reply, read_request
from files.pods.common.read_text import read_text_or_none
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.run_command import run_command
from files.pods.common.users import may_write
from files.pods.service.last_start import outdated
from files.pods.service.protocol import Account, Rival, ServiceState, Serving, StateRequest, UnitState
from files.pods.service.root_processes import root_processes
from files.pods.service.root_units import units, would_start
from files.pods.service.serving import wait_until_serving
from files.pods.v1.find import every_home, homes_with_units

STARTING = 30
"""Seconds from its start that a service has to answer; after them it is tried once."""

NODE_PATH = "/usr/local/bin:/usr/bin:/bin"
UNITS = "/etc/systemd/system"
UNIT_PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState")


def systemctl(*args: str) -> str:
    return run_command(["systemctl", *args], timeout=60, check=True).stdout


def systemd_version() -> int:
    """Return systemd's version: 257 for 257.1-2, 257~rc2 and v257 alike."""
    match = re.search("[0-9]+", systemctl("--version"))
    return int(match[0]) if match else 0


def unit_state(unit: str, texts: list[str]) -> UnitState:
    """Return load, active and enabled state of the unit."""
    shown = systemctl("show", f"--property={','.join(UNIT_PROPERTIES)}", unit)
    units = [os.path.basename(path) for path in texts if path.endswith(".service")]
    reloads = systemctl("show", "--value", "--property=NeedDaemonReload", *units)
    properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    load, active, sub, enabled = (properties[name] for name in UNIT_PROPERTIES)
    return UnitState(load, active, sub, enabled, reload="yes" in reloads.split())


def answering(unit: str, root: str, user: tuple[int, int]) -> Serving:
    """Whether the service answers. Waits for one that a boot or a mount has just started."""
    now = wait_until_serving(unit, root, user, 0)
    if not now.answers and now.seconds is not None and now.seconds < STARTING:
        now = wait_until_serving(unit, root, user, STARTING - now.seconds)
    return Serving(now.answers, now.why)


def account(name: str, gid: int) -> Account | None:
    """Return ids, home and group of the host user, or None."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = str(gid)
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_dir, group)


def rivals(unit: str, root: str) -> list[Rival]:
    """Return what else runs this project root, or would: services of every manager, and processes outside the unit."""
    homes, _unseen = every_home()
    others, known = [], {("system", unit)}
    for one in units(root, homes_with_units(homes))["units"]:
        ours = one["manager"] == "system" and one["name"] == unit
        if not ours and would_start(one):
            kind = "unit" if one["manager"] == "system" else "user unit"
            kind = "sleeping user unit" if one["active"] == "no manager" else kind
            others.append(Rival(kind, one["file"], "" if kind == "unit" else str(one["uid"])))
            known.add((one["manager"], one["name"]))
    for process in root_processes(root, lambda uid: may_write(uid, root), None):
        if (process["manager"], process["unit"]) not in known:
            detail = f"uid {process['uid']}, {process['unit'] or 'no service'}"
            others.append(Rival("process", str(process["pid"]), detail))
    return others


def earlier_units(unit: str, units: str) -> list[Rival]:
    """Return the role's own enabled units of other project roots: a change of the root left them."""
    dropins = glob.glob(f"{units}/nanoclaw-v2-*.service.d/50-nanoclaw-pods.conf")
    names = sorted(os.path.basename(os.path.dirname(path))[: -len(".d")] for path in dropins)
    enabled = [name for name in names if os.path.lexists(f"{units}/multi-user.target.wants/{name}")]
    return [Rival("earlier unit", name) for name in enabled if name != unit]


def node_of(user: str, uid: int, gid: int) -> str | None:
    """Return the first Node in PATH that the service's user can run: not a link into another user's home."""

    def node_path() -> str | None:
        become_user(user, uid, gid)
        return shutil.which("node", path=NODE_PATH)

    path: str | None = run_as(ROOT, 20, node_path).get("value")
    return path


def main() -> None:
    """Print the state."""
    request = read_request(StateRequest)
    unit, root = request.unit, request.root
    run_with_deadline(100, root)
    reply = ServiceState(
        systemd=systemd_version(),
        unit=unit_state(unit, request.texts),
        files={path: read_text_or_none(path) for path in request.texts},
        account=account(request.user, request.gid),
        node=node_of(request.user, request.uid, request.gid),
        logs={path: lstat_below(path, root) for path in request.logs},
        outdated=outdated(request.inputs, request.started),
        serving=answering(unit, root, (request.uid, request.gid)),
        rivals=[*rivals(unit, root), *earlier_units(unit, UNITS)],
    )
    print_reply(reply)


if __name__ == "__main__":
    main()
