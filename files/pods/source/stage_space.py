"""Fail if a file system has less space than a stage and the copies of the database need.

Measures the project root: the stage has as much again as its files, its modules and its outputs, and half as much more
for what a new version adds. A file with other names, as in pnpm's store, counts by its share. What an earlier stage has
counts as room. Sessions, groups and store are not copied: later versions only add to them, so a way back leaves them.
data/v2.db is copied for the way back, replaced there, and what is replaced is kept.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.source.git_worktree import become_worker
from files.pods.source.stage_place import place_of
from files.pods.source.staging_protocol import StageSpaceRequest

MB = 1_000_000
RESERVE = 64 << 20
NOT_STAGED = ("data", "groups", "store", "logs", ".git")
GROWTH = 1.5
COPIES = 2
"""Of the database beside the present one, which lies in .git: that of the switch, and what a way back replaces."""


@dataclass(frozen=True)
class Size:
    """Bytes and entries of some files."""

    bytes: float = 0
    entries: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes, self.entries + other.entries)


def size_of(path: str, skipped: tuple[str, ...] = ()) -> Size:
    """Return the size of a directory tree on its file system; without entries of these names at its top."""
    total = Size()
    try:
        device = os.lstat(path).st_dev
    except FileNotFoundError:
        return total
    for folder, names, files in os.walk(path):
        if folder == path:
            names[:] = [name for name in names if name not in skipped]
        for name in [*names, *files]:
            try:
                info = os.lstat(f"{folder}/{name}")
            except FileNotFoundError:  # the service writes
                continue
            if info.st_dev != device and stat.S_ISDIR(info.st_mode):
                names.remove(name)
                continue
            shared = 1 if stat.S_ISDIR(info.st_mode) else max(1, info.st_nlink)
            total += Size(info.st_blocks * 512 / shared, 1)
    return total


def database_size(root: str) -> int:
    """Return the bytes of the central database with its log."""
    paths = (f"{root}/data/v2.db{end}" for end in ("", "-wal"))
    return sum(os.lstat(path).st_size for path in paths if os.path.lexists(path))


def needs(root: str) -> dict[str, Size]:
    """Return what must be free, by a path of each file system."""
    present, staged = size_of(root, NOT_STAGED), size_of(place_of(root), (".git",))
    stage = Size(max(0, present.bytes * GROWTH - staged.bytes), max(0, int(present.entries * GROWTH) - staged.entries))
    database = database_size(root)
    total = {root: stage + Size(COPIES * database + RESERVE, 1000)}
    data = f"{root}/data"
    if os.path.isdir(data) and os.stat(data).st_dev != os.stat(root).st_dev:
        return {**total, data: Size(database + RESERVE, 10)}
    return {root: total[root] + Size(database)}


def shortfall(path: str, need: Size) -> str | None:
    """Return what a file system lacks; None if it has enough."""
    space = os.statvfs(path)
    free, entries = space.f_bavail * space.f_frsize, space.f_favail if space.f_files else None
    if free >= need.bytes and (entries is None or entries >= need.entries):
        return None
    return (
        f"{path}: a new version beside the present one needs {int(need.bytes) // MB} MB and {need.entries} inodes, and "
        f"there are {free // MB} MB and {'any number of' if entries is None else entries} inodes free: free some "
        "space, or make the file system larger"
    )


if __name__ == "__main__":
    request = read_request(StageSpaceRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(900, request.root)
    become_worker(request.root, request.user, request.uid, request.gid)
    problems = [text for path, need in needs(request.root).items() if (text := shortfall(path, need))]
    sys.exit("; ".join(problems) or None)
