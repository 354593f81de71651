"""Where a NanoClaw v1 may lie on a machine: for programs that import it."""

from __future__ import annotations

import glob
import os
import pwd
from typing import Any

from files.programs.acting import ROOT, acting
from files.programs.careful import text_of
from files.programs.mount_table import carrier, may_hang, mount_table
from files.programs.printable import shown
from files.programs.v1_files import folders_in, version_of
from files.programs.v1_running import SYSTEM_UNITS, USER_UNITS, processes, settings_of

UNIT = "nanoclaw.service"
AUTO = "auto"


def homes() -> tuple[list[str], list[str]]:
    """The homes of this machine; and the mounts of homes that were not looked into, since their server is silent."""
    table = mount_table()
    above = [] if may_hang("/home", table) else [f"/home/{name}" for name in folders_in("/home")]
    every = sorted({entry.pw_dir.rstrip("/") for entry in pwd.getpwall()} | set(above))
    remote = [home for home in every if may_hang(home, table)]
    local = [home for home in every if home not in remote and os.path.isdir(home)]
    answer = acting(ROOT, 10, lambda: [home for home in remote if os.path.isdir(home)])
    if "value" in answer:
        return local + answer["value"], []
    return local, sorted({mount.point for mount in (carrier(home, table) for home in remote) if mount})


def candidates(where: str, root: str, homes: list[str]) -> list[dict[str, Any]]:
    """The install that a setting names, or all that may be one.

    + where: "auto", or a directory
    + root: the project root of v2; NanoClaw's own migration looks beside it
    """
    if where != AUTO:
        return [judged(os.path.realpath(where), ["nanoclaw_v1_dir"])]
    found: dict[str, list[str]] = {}
    above = os.path.dirname(root)
    for name in folders_in(above):
        path = f"{above}/{name}"
        if name != os.path.basename(root) and os.path.isfile(f"{path}/store/messages.db") and not is_v2(path):
            found.setdefault(os.path.realpath(path), []).append(f"beside {root}")
    places = [*SYSTEM_UNITS, *(f"{home}/{USER_UNITS}" for home in homes)]
    for path in dict.fromkeys(os.path.realpath(f"{place}/{UNIT}") for place in places):
        where = settings_of(text_of(path, follow=True) or "").get("WorkingDirectory", "")
        if where:
            found.setdefault(os.path.realpath(where), []).append(f"by {path}")
    for place in (above, *homes):
        for path in sorted(glob.glob(f"{glob.escape(place)}/*/nanoclaw.pid")):
            found.setdefault(os.path.realpath(os.path.dirname(path)), []).append(f"by {path}")
    for process in processes(None):
        if os.path.isfile(f"{process['directory']}/store/messages.db"):
            found.setdefault(process["directory"], []).append(f"by process {process['pid']}")
    return [judged(path, by) for path, by in sorted(found.items())]


def is_v2(path: str) -> bool:
    """As NanoClaw's own migration tells them apart: by package.json alone."""
    return (version_of(path) or "").partition(".")[0] == "2"


def judged(path: str, by: list[str]) -> dict[str, Any]:
    if not os.path.isdir(path):
        kind = "absent"
    elif is_v2(path):
        kind = "v2"
    else:
        kind = "v1" if os.path.lexists(f"{path}/store/messages.db") else "no database"
    return {"path": path, "by": [shown(one) for one in dict.fromkeys(by)][:3], "kind": kind}
