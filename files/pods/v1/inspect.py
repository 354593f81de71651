"""Inspect the NanoClaw v1 of a machine: where it is, its data, and what runs it. Changes nothing, and never hangs.

Prints tasks.model.migration.v1_state.V1State as JSON.
"""

from __future__ import annotations

import json
import os
from typing import Any

from files.pods.common.mountinfo import is_below, mount_table
from files.pods.common.protocol import read_request
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.users import passwd_entry
from files.pods.v1.count import counts
from files.pods.v1.database import database
from files.pods.v1.files import files, lists
from files.pods.v1.find import AUTO, candidates, every_home, homes_with_units, others_installs
from files.pods.v1.processes import running
from files.pods.v1.protocol import InspectRequest, SpaceRequest
from files.pods.v1.snapshot_dir import TREES, enter_read_only


def owner(path: str) -> dict[str, Any]:
    """Return the owner of the project root."""
    info = os.lstat(path)
    entry = passwd_entry(info.st_uid)
    return {"uid": info.st_uid, "gid": info.st_gid, "user": entry.pw_name if entry else None}


def mounted_in(path: str) -> list[str]:
    """Return the mount points of other file systems in the install, which are not inspected."""
    expected = {path, *(f"{path}/{name}" for name in TREES)}
    return sorted(
        {
            escape_control(mount.point)
            for mount in mount_table()
            if is_below(path, mount.point) and mount.point not in expected
        }
    )


def install_data(path: str, homes: list[dict[str, Any]]) -> dict[str, Any]:
    """Read the install. Call it in a child process: it changes the mounts of its process."""
    before = {"homes": lists(homes), "elsewhere": mounted_in(path)}  # homes are out of reach in the read-only root
    root, scratch = enter_read_only(path)
    return {
        **before,
        **files(root),
        "database": database(f"{root}/store", scratch),
        "trees": counts(root),
    }


def space(place: SpaceRequest) -> dict[str, Any]:
    """Return what is free at a path; nothing if its mount is missing."""
    path, mount = place.path, place.mount
    nothing = {"path": path, "device": None, "bytes": None, "entries": None}
    if mount is not None and not any(entry.point == mount for entry in mount_table()):
        return nothing
    existing = path
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    fs = os.statvfs(existing)
    return {
        "path": path,
        "device": os.stat(existing).st_dev,
        "bytes": fs.f_bavail * fs.f_frsize,
        "entries": fs.f_favail if fs.f_files else None,
    }


def inspect(request: InspectRequest) -> dict[str, Any]:
    """Find the v1, read it, and return tasks.model.migration.v1_state.V1State as JSON."""
    where, unseen = every_home()
    answer: dict[str, Any] = {"candidates": [], "unseen": unseen, "error": None, "install": None, "spaces": []}
    try:
        answer["candidates"] = within(60, lambda: candidates(request.dir, request.root, request.uid, where))
        answer["candidates"] += others(request, where, [candidate["path"] for candidate in answer["candidates"]])
        answer["spaces"] = within(20, lambda: [space(place) for place in request.space])
        paths = [
            candidate["path"]
            for candidate in answer["candidates"]
            if candidate["kind"] == "v1" and candidate["trusted"]
        ]
        if len(paths) == 1:
            runs = within(100, lambda: running(paths[0], homes_with_units(where), where))
            install = within(request.seconds, lambda: install_data(paths[0], runs["homes"]), MAX_MEMORY)
            owned = within(20, lambda: owner(paths[0]))
            answer["install"] = {"path": escape_control(paths[0]), "owner": owned, **runs, **install}
    except RuntimeError as error:
        answer["error"] = escape_control(str(error))
    answer["candidates"] = [
        {**candidate, "path": escape_control(candidate["path"])} for candidate in answer["candidates"]
    ]
    return answer


def others(request: InspectRequest, where: list[tuple[int, str]], known: list[str]) -> list[dict[str, Any]]:
    """Return installs of other users, to list them. The deadline keeps these users from stopping an inspection."""
    if request.dir != AUTO:
        return []
    answer = run_as(ROOT, 20, lambda: others_installs(request.uid, where, known))
    installs: list[dict[str, Any]] = answer.get("value", [])
    return installs


def within(seconds: int, work: Any, memory: int | None = None) -> Any:
    """Return the result of `work` from a child process with a deadline, in case a file server is gone."""
    answer = run_as(ROOT, seconds, work, memory)
    if "value" not in answer:
        raise RuntimeError(answer["text"] or answer["error"])
    return answer["value"]


if __name__ == "__main__":
    print(json.dumps(inspect(read_request(InspectRequest))))
