"""One pass over a NanoClaw v1, in an order that is always the same: for programs that import it. Nothing is written.

It makes the digest by which two passes tell whether v1 is byte-identical, and hands on each entry that it sees.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from files.pods.common.run_as_ids import describe_error
from files.pods.trees.entry import Rule, open_directory
from files.pods.trees.walk import Walk
from files.pods.v1.audit.entries import READ_FILE, content_of, digest_of, type_of
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.snapshot_dir import TREES, kind_of

ANYBODYS = Rule(-1, -1, frozenset(), frozenset())


class Seen:
    """An entry of v1: valid while the pass is at it."""

    def __init__(self, parts: list[str], above: int, found: os.stat_result) -> None:
        self.parts, self.above, self.stat = parts, above, found
        self.path = "/".join(parts)
        self.target = os.readlink(parts[-1], dir_fd=above) if stat.S_ISLNK(found.st_mode) else ""
        self.known: str | None = None

    def digest(self) -> str:
        """SHA-256 of what a file holds; it is read once."""
        if self.known is None:
            self.known = digest_of(os.open(self.parts[-1], READ_FILE, dir_fd=self.above))
        return self.known

    def content(self) -> bytes | None:
        return content_of(os.open(self.parts[-1], READ_FILE, dir_fd=self.above))


class Listing:
    """The digest of what was seen: path, type and mode, owner, size, times, target, and content if deep.

    Of a file its ctime counts, which each write moves and nothing sets (inode(7)): no byte of it need be read.
    """

    def __init__(self, deep: bool) -> None:
        self.deep, self.sum = deep, hashlib.sha256()

    def add(self, path: str, found: os.stat_result, target: str = "", content: str = "") -> None:
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size  # of a directory it is the file system's affair
        ctime = found.st_ctime_ns if stat.S_ISREG(found.st_mode) else 0
        numbers = (found.st_mode, found.st_uid, found.st_gid, size, found.st_mtime_ns, ctime)
        fields = [path, *map(str, numbers), target, content]
        self.sum.update(b"".join(os.fsencode(field) + b"\0" for field in fields))

    def see(self, seen: Seen) -> None:
        content = seen.digest() if self.deep and stat.S_ISREG(seen.stat.st_mode) else ""
        self.add(seen.path, seen.stat, seen.target, content)


class Pass(Walk):
    """A walk by sorted names, that changes nothing: `take` is given each entry, before what is in it."""

    def __init__(self, root: int, above: list[str], take: Callable[[Seen], None]) -> None:
        super().__init__(root, ANYBODYS, apply=False)
        self.above, self.take = above, take

    def enter(self, name: str, handle: int) -> None:
        super().enter(name, handle)
        self.frames[-1].entries = iter(sorted(self.frames[-1].entries))

    def visit(self, name: str) -> Iterator[tuple[str, str]]:
        handle = self.frames[-1].fd
        found = os.stat(name, dir_fd=handle, follow_symlinks=False)
        parts = [*self.above, *(frame.name for frame in self.frames[1:]), name]
        if self.above or parts[0] not in TREES:
            self.take(Seen(parts, handle, found))
        yield from super().visit(name)


def whole_pass(v1: str, deep: bool, ledger: Ledger, take: Callable[[Seen], None]) -> str:
    """Hands on all of an install that is seen through v1_view; returns its digest. What cannot be read is lost."""
    listing = Listing(deep)

    def both(seen: Seen) -> None:
        try:
            listing.see(seen)
            take(seen)
        except OSError as error:  # else a walk would take what is missing in v2 for what vanished in v1
            ledger.lose(f"file {seen.path}", f"could not be compared ({describe_error(error)[0]})")

    for tree in ("", *TREES):
        path = f"{v1}/{tree}" if tree else v1
        kind = kind_of(path)
        if kind == "absent":
            continue
        found = os.lstat(path)
        listing.add(tree, found)
        if kind != "there":
            ledger.lose(f"file {tree}", f"is {type_of(found.st_mode)}, which is not looked into")
            continue
        walk: Any = Pass(open_directory(path), [tree] if tree else [], both)
        for verdict, name in walk:
            where = "/".join(filter(None, (tree, walk.path_of(name))))
            if verdict.isupper():
                ledger.lose(f"file {where}", f"could not be looked at ({verdict})")
            elif verdict == "deep" or (verdict == "elsewhere" and where not in TREES):
                ledger.lose(f"file {where}", "is another file system's, or lies too deep")
    return listing.sum.hexdigest()
