"""A walk over a tree that an agent can write to at the same time.

trees/entry.py decides about an entry. A symbolic link is chowned itself, never followed. The walk stays on the tree's
mount: it enters no other file system and no bind mount. Memory does not grow with the tree, and each step is short.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from files.pods.trees.entry import (
    GONE,
    NOBODY,
    OPEN_DIRECTORY,
    Rule,
    chown_entry,
    chown_open,
    decide,
    failed,
    mount_of_fd,
)
from files.pods.trees.protocol import CHOWN, DEEP, ELSEWHERE, LINKED, Verdict

Step = tuple[Verdict, str]
"""A verdict, and the name of the entry in the current directory."""

MAX_DEPTH = 400  # levels, which stay open; NanoClaw and its agents need fewer


class Frame:
    """A directory on the way down: name, descriptor, and entries left to visit."""

    def __init__(self, name: str, fd: int) -> None:
        self.name, self.fd = name, fd
        self.entries: Iterator[str] = (entry.name for entry in os.scandir(fd))

    def close(self) -> None:
        os.close(self.fd)
        self.entries = iter(())


class Walk:
    """One pass below an open directory, which it closes: yields (verdict, name) of every entry.

    A directory follows its content, so a correct root means that the tree was finished.
    `on_directory` receives the descriptor of each directory and the names leading to it, before it is read.
    """

    def __init__(
        self, root: int, rule: Rule, apply: bool, on_directory: Callable[[int, list[str]], None] | None = None
    ) -> None:
        self.root, self.rule, self.apply, self.on_directory = root, rule, apply, on_directory
        self.mount = mount_of_fd(root)
        self.frames: list[Frame] = []
        self.only_nobody = True

    def path_of(self, name: str) -> str:
        """Return the path of a name in the current directory, relative to the root."""
        return "/".join([*(frame.name for frame in self.frames[1:]), name])

    def __iter__(self) -> Iterator[Step]:
        return (step for step in self.steps() if step)

    def steps(self) -> Iterator[Step | None]:
        """Yield the verdicts, and None for a step without one, for callers that must not wait long."""
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
                        yield failed(error), name or ""
        finally:
            for frame in self.frames:
                frame.close()

    def visit(self, name: str) -> Iterator[Step]:
        """Handle one entry: enter a directory, chown anything else."""
        directory = self.frames[-1].fd
        info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        self.only_nobody &= info.st_uid == NOBODY
        if name == "lost+found" and len(self.frames) == 1 and info.st_uid == 0:
            return
        if stat.S_ISDIR(info.st_mode):
            fd = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
            elsewhere = mount_of_fd(fd) != self.mount
            if elsewhere or len(self.frames) >= MAX_DEPTH:
                os.close(fd)
                yield ELSEWHERE if elsewhere else DEEP, name
            else:
                self.enter(name, fd)
            return
        verdict = decide(info.st_mode, info.st_nlink, info.st_uid, info.st_gid, self.rule)
        needs_open = verdict in (CHOWN, LINKED)  # a file with several names is opened to remember it
        yield chown_entry(directory, name, self.rule, self.mount, self.apply) if needs_open else verdict, name

    def enter(self, name: str, fd: int) -> None:
        """Open a frame for a directory."""
        try:
            frame = Frame(name, fd)
            if self.on_directory:
                self.on_directory(fd, [*(parent.name for parent in self.frames[1:]), *([name] if self.frames else [])])
        except BaseException:
            os.close(fd)
            raise
        self.frames.append(frame)

    def leave(self) -> Iterator[Step]:
        """Close the current directory and chown it."""
        frame = self.frames.pop()
        try:
            self.only_nobody &= os.fstat(frame.fd).st_uid == NOBODY
            verdict = chown_open(frame.fd, self.rule, self.apply)
        finally:
            frame.close()
        yield verdict, frame.name
