"""Inspect the NanoClaw v1 of a machine: where it is, its data, and what runs it. Changes nothing, and never hangs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from files.pods.common.mountinfo import is_below, mount_table
from files.pods.common.protocol import decode, document_of, print_reply, read_request
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.users import passwd_entry
from files.pods.v1.count import counts
from files.pods.v1.database import database
from files.pods.v1.files import files, lists
from files.pods.v1.find import AUTO, candidates, every_home, homes_with_units, others_installs
from files.pods.v1.processes import running
from files.pods.v1.protocol import InspectRequest, SpaceRequest
from files.pods.v1.running_state import Running
from files.pods.v1.snapshot_dir import TREES, enter_read_only
from files.pods.v1.v1_state import Candidate, Contents, Install, Owner, Space, V1State

Result = TypeVar("Result")


def owner(path: str) -> Owner:
    """Return the owner of the project root."""
    info = os.lstat(path)
    entry = passwd_entry(info.st_uid)
    return Owner(info.st_uid, info.st_gid, entry.pw_name if entry else None)


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


def install_data(path: str, homes: list[tuple[str, str]]) -> Contents:
    """Read the install. Call it in a child process: it changes the mounts of its process."""
    read, elsewhere = lists(homes), mounted_in(path)  # homes are out of reach in the read-only root
    root, scratch = enter_read_only(path)
    return Contents(
        **vars(files(root)),
        homes=read,
        database=database(f"{root}/store", scratch),
        trees=counts(root),
        elsewhere=elsewhere,
    )


def space(place: SpaceRequest) -> Space:
    """Return what is free at a path; nothing if its mount is missing."""
    path, mount = place.path, place.mount
    if mount is not None and not any(entry.point == mount for entry in mount_table()):
        return Space(path, None, None, None)
    existing = path
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    fs = os.statvfs(existing)
    device, entries = os.stat(existing).st_dev, fs.f_favail if fs.f_files else None
    return Space(path, device, fs.f_bavail * fs.f_frsize, entries)


def inspect(request: InspectRequest) -> V1State:
    """Find the v1, and read it."""
    where, unseen = every_home()
    state = V1State([], unseen, None, None, [])
    listed: list[Candidate] = []
    try:
        listed = within(list[Candidate], 60, lambda: candidates(request.dir, request.root, request.uid, where))
        listed += others(request, where, [candidate.path for candidate in listed])
        state = replace(state, spaces=within(list[Space], 20, lambda: [space(place) for place in request.space]))
        paths = [candidate.path for candidate in listed if candidate.kind == "v1" and candidate.trusted]
        if len(paths) == 1:
            state = replace(state, install=read_install(request, paths[0], where))
    except RuntimeError as error:
        state = replace(state, error=escape_control(str(error)))
    return replace(state, candidates=[replace(one, path=escape_control(one.path)) for one in listed])


def read_install(request: InspectRequest, path: str, where: list[tuple[int, str]]) -> Install:
    """Return what runs an install, and its data. Raises RuntimeError where it takes too long."""
    runs, homes = within(
        tuple[Running, list[tuple[str, str]]], 100, lambda: running(path, homes_with_units(where), where)
    )
    contents = within(Contents, request.seconds, lambda: install_data(path, homes), MAX_MEMORY)
    owned = within(Owner, 20, lambda: owner(path))
    return Install(path=escape_control(path), owner=owned, **vars(runs), **vars(contents))


def others(request: InspectRequest, where: list[tuple[int, str]], known: list[str]) -> list[Candidate]:
    """Return installs of other users, to list them. The deadline keeps these users from stopping an inspection."""
    if request.dir != AUTO:
        return []
    try:
        return within(list[Candidate], 20, lambda: others_installs(request.uid, where, known))
    except RuntimeError:
        return []


def within(kind: type[Result], seconds: int, work: Callable[[], Result], memory: int | None = None) -> Result:
    """Return the result of `work` from a child process with a deadline, in case a file server is gone."""
    answer = run_as(ROOT, seconds, lambda: document_of(work()), memory)
    if "value" not in answer:
        raise RuntimeError(answer["text"] or answer["error"])
    return decode(kind, answer["value"], InspectRequest.entry)


if __name__ == "__main__":
    print_reply(inspect(read_request(InspectRequest)))
