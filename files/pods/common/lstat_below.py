"""lstat(2) of a path that may have symbolic links of others in the place of its parents."""

from __future__ import annotations

import os
import stat
from typing import Any

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
"""Kinds of directory entries that a reply names."""


def lstat_below(path: str, root: str) -> dict[str, Any]:
    """Return kind, owner and mode of a path; report a symbolic link anywhere below `root` as a link at the path."""
    directory = os.path.dirname(path)
    while len(directory) > len(root):
        if os.path.islink(directory):
            return {"kind": "link"}
        directory = os.path.dirname(directory)
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent"}
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "special file")
    return {"kind": kind, "uid": info.st_uid, "gid": info.st_gid, "mode": f"{stat.S_IMODE(info.st_mode):04o}"}
