"""Looking at what has a name below a directory, without following a link: for programs that import it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence

from files.pods.trees.entry import GONE, OPEN_DIRECTORY

READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ_AT_MOST = 64 << 20
UNITS = (1, 100, 1000, 10**9)
"""Nanoseconds that file systems keep times in."""


class Below:
    """Names below an open directory, which it keeps. The way to the last one stays open: a walk asks for neighbours."""

    def __init__(self, handle: int) -> None:
        self.chain: list[tuple[str, int | None]] = [("", handle)]

    def directory(self, parts: Sequence[str]) -> int | None:
        """A directory, open until the next call; None where there is none, or where a link stands in the way."""
        same = 0
        while same < min(len(parts), len(self.chain) - 1) and self.chain[same + 1][0] == parts[same]:
            same += 1
        for _name, handle in self.chain[same + 1 :]:
            if handle is not None:
                os.close(handle)
        del self.chain[same + 1 :]
        for part in parts[same:]:
            self.chain.append((part, open_in(self.chain[-1][1], part, OPEN_DIRECTORY)))
        return self.chain[-1][1]

    def look(self, parts: Sequence[str]) -> os.stat_result | None:
        """What is there, of a link the link itself."""
        above = self.directory(parts[:-1])
        if above is None or not is_name(parts[-1]):
            return None
        try:
            return os.stat(parts[-1], dir_fd=above, follow_symlinks=False)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return None

    def target(self, parts: Sequence[str]) -> str:
        above = self.directory(parts[:-1])
        return os.readlink(parts[-1], dir_fd=above)

    def content(self, parts: Sequence[str]) -> bytes | None:
        """What a regular file holds; None where there is none."""
        handle = open_in(self.directory(parts[:-1]), parts[-1], READ_FILE)
        return None if handle is None else content_of(handle)

    def digest(self, parts: Sequence[str]) -> str:
        """SHA-256 of a regular file; empty where there is none."""
        handle = open_in(self.directory(parts[:-1]), parts[-1], READ_FILE)
        return "" if handle is None else digest_of(handle)


def is_name(part: str) -> bool:
    """Whether it can only lead one step down: databases say names, and agents write databases."""
    return part not in ("", ".", "..") and "/" not in part and "\0" not in part


def open_in(above: int | None, part: str, how: int) -> int | None:
    if above is None or not is_name(part):
        return None
    try:
        return os.open(part, how, dir_fd=above)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None


def content_of(handle: int) -> bytes | None:
    """Of a handle, which it closes."""
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > READ_AT_MOST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return file.read()


def digest_of(handle: int) -> str:
    """Of a handle, which it closes."""
    summed = hashlib.sha256()
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        while piece := file.read(1 << 20):
            summed.update(piece)
    return summed.hexdigest()


def same_time(first: int, copied: int) -> bool:
    """Whether a time is a copy of another, as far as the copy's file system keeps it."""
    return any(copied == first - first % unit for unit in UNITS)


def type_of(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFREG: "a file", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a socket, pipe or device")


def owner_why(found: os.stat_result, ids: dict[str, int]) -> str:
    """Empty where it belongs to these."""
    if (found.st_uid, found.st_gid) == (ids["uid"], ids["gid"]):
        return ""
    return f"belongs to {found.st_uid}:{found.st_gid} instead of {ids['uid']}:{ids['gid']}"
