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

from files.pods.trees.entry import DIRECTORY, GONE, NOBODY, Rule, decide, give, give_open, place_of

DEEPEST = 400  # levels, which stay open; NanoClaw and its agents make none so deep, and an attacker no more than these


class Frame:
    """A directory on the way down: its name, what is left to visit, its handle."""

    def __init__(self, name: str, handle: int) -> None:
        self.name, self.handle = name, handle
        self.entries: Iterator[str] = (entry.name for entry in os.scandir(handle))

    def drop(self) -> None:
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
        opened = verdict in ("give", "linked")  # what is linked is remembered, once it is held open
        yield give(directory, name, self.rule, self.place, self.apply) if opened else verdict, name

    def enter(self, name: str, handle: int) -> None:
        try:
            frame = Frame(name, handle)
            if self.entered:
                self.entered(handle, [*(above.name for above in self.frames[1:]), *([name] if self.frames else [])])
        except BaseException:
            os.close(handle)
            raise
        self.frames.append(frame)

    def leave(self) -> Iterator[tuple[str, str]]:
        frame = self.frames.pop()
        try:
            self.only_nobody &= os.fstat(frame.handle).st_uid == NOBODY
            verdict = give_open(frame.handle, self.rule, self.apply)
        finally:
            frame.drop()
        yield verdict, frame.name
