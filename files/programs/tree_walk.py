"""A walk over a tree that an agent can write to while it is walked: for programs that import it.

Every step goes from an open directory to a name in it, never along a path. Links are not followed, the link itself
is given. Nothing leaves the tree's mount, neither to another file system nor to a directory of the same one that is
bound into the tree. An entry is decided on again once it is held open (O_PATH), and it is that which is changed.
Left alone, and counted: owners that NanoClaw cannot have left, files with several names (one may lie elsewhere),
devices, sockets, pipes, and files with set-id bits (chown would clear them). Memory does not grow with a tree, and
no number of entries or levels makes a step long.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

NOBODY = 65534
KEEP_OPEN = 64  # levels of directories that stay open; deeper ones are reopened as ".."
DEEPEST = 4096  # levels: deeper than any path can be (PATH_MAX); who goes on making more does not hold up a walk
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
GONE = (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR)  # vanished or replaced since it was listed


class Rule(NamedTuple):
    """Whose a tree is to be, and which owners may be replaced."""

    uid: int
    gid: int
    uids: frozenset[int]
    gids: frozenset[int]


def decide(mode: int, links: int, uid: int, gid: int, rule: Rule) -> str:
    """What to do with an entry: it is right, to be given, or why it is left alone."""
    if uid != rule.uid and uid not in rule.uids:
        return "foreign"
    if uid == rule.uid and (gid == rule.gid or gid not in rule.gids):
        return "right"
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        return "special"
    if not stat.S_ISDIR(mode) and links > 1:
        return "linked"
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        return "special"
    return "give"


def new_ids(gid: int, rule: Rule) -> tuple[int, int]:
    """The ids of an entry after it was given: a group that may not be replaced stays."""
    return rule.uid, rule.gid if gid in rule.gids else gid


def place_of(handle: int) -> tuple[int, bytes]:
    """The file system and the mount of what is open: a bind mount has its file system's device (proc(5), fdinfo)."""
    about = os.open(f"/proc/self/fdinfo/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(about, 4096).splitlines()
    finally:
        os.close(about)
    return os.fstat(handle).st_dev, next(line for line in lines if line.startswith(b"mnt_id:"))


def give(directory: int, name: str, rule: Rule, place: tuple[int, bytes], apply: bool = True) -> str:
    """Gives one entry, deciding on what is held open and not on its name."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if place_of(handle) != place:
            return "elsewhere"
        now = os.fstat(handle)
        verdict = decide(now.st_mode, now.st_nlink, now.st_uid, now.st_gid, rule)
        if verdict == "give" and apply:
            os.chown(f"/proc/self/fd/{handle}", *new_ids(now.st_gid, rule))  # reaches a link itself
        return verdict
    finally:
        os.close(handle)


def give_open(handle: int, rule: Rule, apply: bool = True) -> str:
    """Gives a directory that is open."""
    now = os.fstat(handle)
    verdict = decide(now.st_mode, now.st_nlink, now.st_uid, now.st_gid, rule)
    if verdict == "give" and apply:
        try:
            os.fchown(handle, *new_ids(now.st_gid, rule))
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error.errno))
    return f"foreign {now.st_uid}:{now.st_gid}" if verdict == "foreign" else verdict


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
            if place_of(handle) == self.place and len(self.frames) < DEEPEST:
                self.enter(name, handle)
            else:
                verdict = "elsewhere" if place_of(handle) != self.place else "deep"
                os.close(handle)
                yield verdict, name
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


def open_directory(path: str) -> int:
    """Opens a tree's root without following a link that anybody but root could have put into the path."""
    handle = os.open("/", DIRECTORY)
    parts = path.strip("/").split("/")
    for number, part in enumerate(parts):
        try:
            try:
                below = os.open(part, DIRECTORY, dir_fd=handle)
            except OSError as error:
                above, link = os.fstat(handle), os.stat(part, dir_fd=handle, follow_symlinks=False)
                trusted = above.st_uid == link.st_uid == 0 and not above.st_mode & 0o022
                if not (stat.S_ISLNK(link.st_mode) and trusted and number < len(parts) - 1):
                    raise error
                below = os.open(part, DIRECTORY & ~os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    return handle


def open_below(root: int, parts: list[str]) -> int:
    """Opens a directory below an open one, which it closes: follows no link, and does not go into another mount."""
    handle, place = root, place_of(root)
    for part in parts:
        try:
            below = os.open(part, DIRECTORY, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
        if place_of(handle) != place:
            os.close(handle)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return handle
