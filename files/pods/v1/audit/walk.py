"""Walk a NanoClaw v1 in a fixed order: for programs that import it. Nothing is written.

The walk computes the digest that tells whether v1 is byte-identical later, and passes each entry to a callback.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from files.pods.common.run_as_ids import describe_error
from files.pods.trees.entry import Rule, open_directory
from files.pods.trees.protocol import DEEP, ELSEWHERE
from files.pods.trees.walk import Step, Walk
from files.pods.v1.audit.entries import READ_FILE, content_of, digest_of, type_of
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.snapshot_dir import TREES, kind_of

NO_OWNER = Rule(-1, -1, frozenset(), frozenset())


class Entry:
    """An entry of v1: valid during its callback."""

    def __init__(self, parts: list[str], above: int, info: os.stat_result) -> None:
        self.parts, self.above, self.stat = parts, above, info
        self.path = "/".join(parts)
        self.target = os.readlink(parts[-1], dir_fd=above) if stat.S_ISLNK(info.st_mode) else ""
        self.known: str | None = None

    def digest(self) -> str:
        """Return the SHA-256 of a file, which is read once."""
        if self.known is None:
            self.known = digest_of(os.open(self.parts[-1], READ_FILE, dir_fd=self.above))
        return self.known

    def content(self) -> bytes | None:
        """Return the content of a regular file; None for anything else."""
        return content_of(os.open(self.parts[-1], READ_FILE, dir_fd=self.above))


class Listing:
    """Compute the digest of entries: path, type and mode, owner, size, times, target, and content if deep.

    A file's ctime is part of it: each write moves it and no call sets it (inode(7)), so no byte need be read.
    """

    def __init__(self, deep: bool) -> None:
        self.deep, self.sum = deep, hashlib.sha256()

    def add(self, path: str, info: os.stat_result, target: str = "", content: str = "") -> None:
        size = 0 if stat.S_ISDIR(info.st_mode) else info.st_size  # the size of a directory depends on the file system
        ctime = info.st_ctime_ns if stat.S_ISREG(info.st_mode) else 0
        numbers = (info.st_mode, info.st_uid, info.st_gid, size, info.st_mtime_ns, ctime)
        fields = [path, *map(str, numbers), target, content]
        self.sum.update(b"".join(os.fsencode(field) + b"\0" for field in fields))

    def add_entry(self, entry: Entry) -> None:
        """Add an entry to the digest."""
        content = entry.digest() if self.deep and stat.S_ISREG(entry.stat.st_mode) else ""
        self.add(entry.path, entry.stat, entry.target, content)


class Pass(Walk):
    """Walk by sorted names and change nothing: `take` gets each directory before its entries."""

    def __init__(self, root: int, above: list[str], take: Callable[[Entry], None]) -> None:
        super().__init__(root, NO_OWNER, apply=False)
        self.above, self.take = above, take

    def enter(self, name: str, handle: int) -> None:
        super().enter(name, handle)
        self.frames[-1].entries = iter(sorted(self.frames[-1].entries))

    def visit(self, name: str) -> Iterator[Step]:
        handle = self.frames[-1].fd
        info = os.stat(name, dir_fd=handle, follow_symlinks=False)
        parts = [*self.above, *(frame.name for frame in self.frames[1:]), name]
        if self.above or parts[0] not in TREES:
            self.take(Entry(parts, handle, info))
        yield from super().visit(name)


def walk_v1(v1: str, deep: bool, ledger: Ledger, take: Callable[[Entry], None]) -> str:
    """Pass each entry of an install in its snapshot root to `take`; return the digest. Unreadable entries are lost."""
    listing = Listing(deep)

    def both(entry: Entry) -> None:
        try:
            listing.add_entry(entry)
            take(entry)
        except OSError as error:  # else the walk would take an entry that v2 lacks for one that vanished in v1
            ledger.lose(f"file {entry.path}", f"could not be compared ({describe_error(error)[0]})")

    for tree in ("", *TREES):
        path = f"{v1}/{tree}" if tree else v1
        kind = kind_of(path)
        if kind == "absent":
            continue
        info = os.lstat(path)
        listing.add(tree, info)
        if kind != "there":
            ledger.lose(f"file {tree}", f"is {type_of(info.st_mode)}, which is not read")
            continue
        walk: Any = Pass(open_directory(path), [tree] if tree else [], both)
        for verdict, name in walk:
            where = "/".join(filter(None, (tree, walk.path_of(name))))
            if verdict.error:
                ledger.lose(f"file {where}", f"could not be read ({verdict.error})")
            elif verdict == DEEP or (verdict == ELSEWHERE and where not in TREES):
                ledger.lose(f"file {where}", "is on another file system, or lies too deep")
    return listing.sum.hexdigest()
