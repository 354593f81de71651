"""A walk over a tree that an agent can write to while it is walked: for programs that import it.

What is done with an entry is said in tree_entry. Links are not followed, the link itself is given. Nothing leaves the
tree's mount, neither to another file system nor to a directory of the same one that is bound into the tree. Memory does
not grow with a tree, and no number of entries or levels makes a step long.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator

from files.programs.tree_entry import DIRECTORY, GONE, NOBODY, Rule, decide, give, give_open, place_of

KEEP_OPEN = 64  # levels of directories that stay open; deeper ones are reopened as ".."
DEEPEST = 4096  # levels: deeper than any path can be (PATH_MAX); who goes on making more does not hold up a walk


def identity(found: os.stat_result) -> tuple[int, int, int]:
    """What tells whether it is the same directory, unchanged: the number alone can be another one's by now."""
    return found.st_dev, found.st_ino, found.st_ctime_ns


class Frame:
    """A directory on the way down: its name, what is left to visit, its handle (None while it is closed)."""

    def __init__(self, name: str, handle: int) -> None:
        self.name, self.handle = name, handle
        self.entries: Iterator[str] = (entry.name for entry in os.scandir(handle))
        found = os.fstat(handle)
        self.identity = identity(found)
        self.closed = False

    def close(self) -> None:
        """Keeps the names that are left and lets go of the directory."""
        self.entries = iter(list(self.entries))
        self.identity = identity(os.fstat(self.handle))
        os.close(self.handle)
        self.closed = True

    def drop(self) -> None:
        if not self.closed:
            os.close(self.handle)
        self.entries = iter(())


class Walk:
    """One pass over the tree below an open directory, which it closes: yields (verdict, name) of every entry.

    A directory comes after what is in it, so that a root which is right means a tree that was finished.
    `entered` is called with each directory's handle and the names that lead to it, before it is read.
    """

    def __init__(
        self, root: int, rule: Rule, apply: bool, entered: Callable[[int, list[str]], None] | None = None
    ) -> None:
        self.root, self.rule, self.apply, self.entered = root, rule, apply, entered
        self.place = place_of(root)
        self.frames: list[Frame] = []
        self.only_nobody = True

    def where(self, name: str) -> str:
        return "/".join([*(frame.name for frame in self.frames[1:]), name])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (step for step in self.steps() if step)

    def steps(self) -> Iterator[tuple[str, str] | None]:
        """The same, and None for each step that comes to no verdict: for who must not be held up."""
        self.enter("", self.root)
        try:
            while self.frames:
                name, levels = None, len(self.frames)
                try:
                    name = next(self.frames[-1].entries, None)
                    if name is None:
                        yield from self.leave()
                    else:
                        yield from self.visit(name)
                    if len(self.frames) > levels:
                        yield None
                except OSError as error:
                    if error.errno in GONE:
                        yield None
                    else:
                        yield errno.errorcode.get(error.errno or 0, str(error.errno)), name or ""
        finally:
            for frame in self.frames:
                frame.drop()

    def visit(self, name: str) -> Iterator[tuple[str, str]]:
        directory = self.frames[-1].handle
        seen = os.stat(name, dir_fd=directory, follow_symlinks=False)
        self.only_nobody &= seen.st_uid == NOBODY
        if name == "lost+found" and len(self.frames) == 1 and seen.st_uid == 0:
            return
        if stat.S_ISDIR(seen.st_mode):
            handle = os.open(name, DIRECTORY, dir_fd=directory)
            elsewhere = place_of(handle) != self.place
            if elsewhere or len(self.frames) >= DEEPEST:
                os.close(handle)
                yield "elsewhere" if elsewhere else "deep", name
            else:
                self.enter(name, handle)
            return
        verdict = decide(seen.st_mode, seen.st_nlink, seen.st_uid, seen.st_gid, self.rule)
        if verdict == "foreign":
            verdict = f"foreign {seen.st_uid}:{seen.st_gid}"
        yield give(directory, name, self.rule, self.place, self.apply) if verdict == "give" else verdict, name

    def enter(self, name: str, handle: int) -> None:
        try:
            frame = Frame(name, handle)
            if self.entered:
                self.entered(handle, [*(above.name for above in self.frames[1:]), *([name] if self.frames else [])])
        except BaseException:
            os.close(handle)
            raise
        if len(self.frames) > KEEP_OPEN:
            self.frames[-1].close()
        self.frames.append(frame)

    def leave(self) -> Iterator[tuple[str, str]]:
        frame = self.frames[-1]
        self.only_nobody &= os.fstat(frame.handle).st_uid == NOBODY
        verdict = give_open(frame.handle, self.rule, self.apply)
        self.frames.pop()
        yield verdict, frame.name
        try:
            if self.frames and self.frames[-1].closed:
                yield from self.reopen(frame.handle)
        finally:
            os.close(frame.handle)

    def reopen(self, child: int) -> Iterator[tuple[str, str]]:
        """Opens the directory above; where the child was moved meanwhile, goes up to one that is still open."""
        above = self.frames[-1]
        try:
            handle = os.open("..", DIRECTORY, dir_fd=child)
            if identity(os.fstat(handle)) == above.identity:
                above.handle, above.closed = handle, False
                return
            os.close(handle)
        except OSError:
            pass  # the same as having been moved
        name = above.name
        while self.frames[-1].closed:
            self.frames.pop()
        yield "moved", name
