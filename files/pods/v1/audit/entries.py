"""Read entries below a directory without following a link: for programs that import it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence

from files.pods.trees.entry import GONE, OPEN_DIRECTORY

READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_READ_BYTES = 64 << 20
UNITS = (1, 100, 1000, 10**9)
"""Nanoseconds that file systems keep times in."""


class Below:
    """Access entries below an open directory. The path to the last one stays open, since a walk asks for neighbours."""

    def __init__(self, fd: int) -> None:
        self.chain: list[tuple[str, int | None]] = [("", fd)]

    def directory(self, parts: Sequence[str]) -> int | None:
        """Return a directory's fd, open until the next call; None if there is none, or a link on the path."""
        same = 0
        while same < min(len(parts), len(self.chain) - 1) and self.chain[same + 1][0] == parts[same]:
            same += 1
        for _name, fd in self.chain[same + 1 :]:
            if fd is not None:
                os.close(fd)
        del self.chain[same + 1 :]
        for part in parts[same:]:
            self.chain.append((part, open_in(self.chain[-1][1], part, OPEN_DIRECTORY)))
        return self.chain[-1][1]

    def lstat(self, parts: Sequence[str]) -> os.stat_result | None:
        """Return what lstat(2) says of an entry; None if there is none."""
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
        """Return the target of a symbolic link."""
        above = self.directory(parts[:-1])
        return os.readlink(parts[-1], dir_fd=above)

    def content(self, parts: Sequence[str]) -> bytes | None:
        """Return the content of a regular file; None if there is none."""
        fd = open_in(self.directory(parts[:-1]), parts[-1], READ_FILE)
        return None if fd is None else content_of(fd)

    def digest(self, parts: Sequence[str]) -> str:
        """Return the SHA-256 of a regular file; empty if there is none."""
        fd = open_in(self.directory(parts[:-1]), parts[-1], READ_FILE)
        return "" if fd is None else digest_of(fd)


def is_name(part: str) -> bool:
    """Return whether it can only lead one level down: agents write the databases that names come from."""
    return part not in ("", ".", "..") and "/" not in part and "\0" not in part


def open_in(above: int | None, part: str, flags: int) -> int | None:
    """Open an entry of a directory without following a link; None if there is none."""
    if above is None or not is_name(part):
        return None
    try:
        return os.open(part, flags, dir_fd=above)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None


def content_of(fd: int) -> bytes | None:
    """Read a regular file from its fd, and close it; None for anything else."""
    with os.fdopen(fd, "rb") as file:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_size > MAX_READ_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return file.read()


def digest_of(fd: int) -> str:
    """Return the SHA-256 of a regular file from its fd, and close it; empty for anything else."""
    digest = hashlib.sha256()
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def same_time(first: int, copied: int) -> bool:
    """Return whether a time is a copy of another, at the resolution of the copy's file system."""
    return any(copied == first - first % unit for unit in UNITS)


def type_of(mode: int) -> str:
    """Return the file type as a message has it."""
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFREG: "a file", stat.S_IFLNK: "a link"}
    return kinds.get(stat.S_IFMT(mode), "a socket, pipe or device")


def owner_problem(info: os.stat_result, ids: tuple[int, int]) -> str:
    """Return which owner it has instead of these ids; empty if it has them."""
    if (info.st_uid, info.st_gid) == ids:
        return ""
    return f"belongs to {info.st_uid}:{info.st_gid} instead of {ids[0]}:{ids[1]}"
