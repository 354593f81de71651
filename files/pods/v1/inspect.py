"""The NanoClaw v1 of a machine: which it is, what it has, what runs it. Changes nothing, and hangs nowhere.

Argument: {"dir": path or "auto", "root": v2's project root, "uid": of the host user, "space": [{"path", "mount": what
must be mounted there, or null}], "seconds": for the look into the install}. Prints
tasks.model.migration.v1_state.V1State as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from files.pods.common.mountinfo import is_below, mount_table
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.users import passwd_entry
from files.pods.v1.count import counts
from files.pods.v1.database import database
from files.pods.v1.files import files, lists
from files.pods.v1.find import AUTO, candidates, every_home, homes_with_units, others_installs
from files.pods.v1.processes import running
from files.pods.v1.snapshot_dir import TREES, view


def owner(path: str) -> dict[str, Any]:
    found = os.lstat(path)
    entry = passwd_entry(found.st_uid)
    return {"uid": found.st_uid, "gid": found.st_gid, "user": entry.pw_name if entry else None}


def mounted_in(path: str) -> list[str]:
    """Other file systems in the install, which are not looked into."""
    seen = {path, *(f"{path}/{name}" for name in TREES)}
    return sorted(
        {
            escape_control(mount.point)
            for mount in mount_table()
            if is_below(path, mount.point) and mount.point not in seen
        }
    )


def described(path: str, homes: list[dict[str, Any]]) -> dict[str, Any]:
    """What the install has. To be called in a process of its own, whose mounts it changes."""
    before = {"homes": lists(homes), "elsewhere": mounted_in(path)}  # the view may hide homes
    root, scratch = view(path)
    return {
        **before,
        **files(root),
        "database": database(f"{root}/store", scratch),
        "trees": counts(root),
    }


def space(place: dict[str, Any]) -> dict[str, Any]:
    path, mount = place["path"], place["mount"]
    nothing = {"path": path, "device": None, "bytes": None, "entries": None}
    if mount is not None and not any(entry.point == mount for entry in mount_table()):
        return nothing
    above = path
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    found = os.statvfs(above)
    return {
        "path": path,
        "device": os.stat(above).st_dev,
        "bytes": found.f_bavail * found.f_frsize,
        "entries": found.f_favail if found.f_files else None,
    }


def look(told: dict[str, Any]) -> dict[str, Any]:
    where, unseen = every_home()
    answer: dict[str, Any] = {"candidates": [], "unseen": unseen, "error": None, "install": None, "spaces": []}
    try:
        answer["candidates"] = within(60, lambda: candidates(told["dir"], told["root"], told["uid"], where))
        answer["candidates"] += others(told, where, [found["path"] for found in answer["candidates"]])
        answer["spaces"] = within(20, lambda: [space(place) for place in told["space"]])
        paths = [found["path"] for found in answer["candidates"] if found["kind"] == "v1" and found["trusted"]]
        if len(paths) == 1:
            runs = within(100, lambda: running(paths[0], homes_with_units(where), where))
            install = within(told["seconds"], lambda: described(paths[0], runs["homes"]), MAX_MEMORY)
            owned = within(20, lambda: owner(paths[0]))
            answer["install"] = {"path": escape_control(paths[0]), "owner": owned, **runs, **install}
    except RuntimeError as error:
        answer["error"] = escape_control(str(error))
    answer["candidates"] = [{**found, "path": escape_control(found["path"])} for found in answer["candidates"]]
    return answer


def others(told: dict[str, Any], where: list[tuple[int, str]], known: list[str]) -> list[dict[str, Any]]:
    """Installs of users who are not asked: to be listed. What those users do to be found must cost nobody a look."""
    if told["dir"] != AUTO:
        return []
    answer = run_as(ROOT, 20, lambda: others_installs(told["uid"], where, known))
    found: list[dict[str, Any]] = answer.get("value", [])
    return found


def within(seconds: int, work: Any, memory: int | None = None) -> Any:
    """What `work` returns in a child, which a server that is gone cannot hang."""
    answer = run_as(ROOT, seconds, work, memory)
    if "value" not in answer:
        raise RuntimeError(answer["text"] or answer["error"])
    return answer["value"]


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
