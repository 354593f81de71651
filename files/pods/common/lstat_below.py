"""What is at a path, following no link: for programs that import it (their text is put in place of the import)."""

from __future__ import annotations

import os
import stat
from typing import Any

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def place(path: str, below: str) -> dict[str, Any]:
    """What lstat says of a path; a link on the way to it, below a directory, counts as one at the path."""
    directory = os.path.dirname(path)
    while len(directory) > len(below):
        if os.path.islink(directory):
            return {"kind": "link"}
        directory = os.path.dirname(directory)
    try:
        info = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"kind": "absent"}
    kind = KINDS.get(stat.S_IFMT(info.st_mode), "special file")
    return {"kind": kind, "uid": info.st_uid, "gid": info.st_gid, "mode": f"{stat.S_IMODE(info.st_mode):04o}"}
