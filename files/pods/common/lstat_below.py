"""lstat(2) of a path that may have symbolic links of others in the place of its parents."""

from __future__ import annotations

import os
import stat

from files.pods.common.protocol import Kind, Place

KINDS: dict[int, Kind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
"""Kinds of directory entries that a reply names."""


def lstat_below(path: str, root: str) -> Place:
    """Return kind, owner and mode of a path; report a symbolic link anywhere below `root` as a link at the path."""
    directory = os.path.dirname(path)
    while len(directory) > len(root):
        if os.path.islink(directory):
            return Place("link")
        directory = os.path.dirname(directory)
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Place("absent")
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "special file")
    return Place(kind, info.st_uid, info.st_gid, f"{stat.S_IMODE(info.st_mode):04o}")
