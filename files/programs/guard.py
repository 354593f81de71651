"""Gives what the host makes in its trees to the agent, at once: a service where the host is root.

Argument: {"version", "sweep": seconds, "trees": [{"path", "uid", "gid", "uids", "gids", "watched": [patterns]}]}.
Inotify tells of what this machine's processes make, on NFS as well (inotify(7)): the directories that the host
writes in (the root, and `watched` below it) are watched, each new entry is given with all that is in it. A directory
is watched before it is read, so that nothing is made unseen in between. Sweeps over the whole trees, at start, after
an overflow and every `sweep` seconds, make up for what was missed; events come first while one is under way, and
sweeps take a twentieth of the time at most. Nothing is kept open, so a file system can be unmounted.
"""

from __future__ import annotations

import ctypes
import errno
import fnmatch
import itertools
import json
import os
import select
import stat
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from files.programs.tree_walk import DIRECTORY, GONE, Rule, Walk, give, open_directory, place_of

CREATE, MOVED_TO, UNMOUNT, OVERFLOW, IGNORED = 0x100, 0x80, 0x2000, 0x4000, 0x8000
ONLY_DIRECTORIES, UNTIL_UNLINKED = 0x01000000, 0x04000000
HEADER = struct.Struct("iIII")
SLICE = 200  # entries of a sweep between two looks at the events
AT_ONCE = 2000  # entries of one new directory; an agent that moves a huge one in holds nobody up, a sweep gives it
MISSING_ROOT = 0.2  # seconds between two looks for a tree that is not there yet


class Tree:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.path: str = settings["path"]
        self.rule = Rule(settings["uid"], settings["gid"], frozenset(settings["uids"]), frozenset(settings["gids"]))
        self.watched = [pattern.split("/") for pattern in settings["watched"]]
        self.there = False

    def is_watched(self, parts: list[str]) -> bool:
        return not parts or any(
            len(pattern) == len(parts) and all(map(fnmatch.fnmatchcase, parts, pattern)) for pattern in self.watched
        )

    def open(self, parts: list[str]) -> int:
        """Opens a directory of the tree, following no link below its root."""
        handle = open_directory(self.path)
        for part in parts:
            try:
                below = os.open(part, DIRECTORY, dir_fd=handle)
            finally:
                os.close(handle)
            handle = below
        return handle


class Guard:
    def __init__(self, trees: list[Tree], sweep_seconds: float) -> None:
        self.trees, self.sweep_seconds = trees, sweep_seconds
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.inotify = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watches: dict[int, tuple[Tree, list[str]]] = {}
        self.given: Counter[str] = Counter()

    def watch(self, tree: Tree, handle: int, parts: list[str]) -> None:
        if not tree.is_watched(parts):
            return
        mask = CREATE | MOVED_TO | ONLY_DIRECTORIES | UNTIL_UNLINKED
        number = self.libc.inotify_add_watch(self.inotify, f"/proc/self/fd/{handle}".encode(), mask)
        if number >= 0:
            self.watches[number] = (tree, parts)
        elif ctypes.get_errno() not in (errno.ENOENT, errno.ESTALE):
            say(f"{tree.path}: cannot watch {'/'.join(parts)!a}: {os.strerror(ctypes.get_errno())}; sweeps will do")

    def cover(self, tree: Tree, parts: list[str]) -> Iterator[None]:
        """Gives a directory of a tree with all that is in it, and watches what is to be watched."""
        handle = tree.open(parts)
        for verdict, _name in Walk(handle, tree.rule, True, lambda fd, more: self.watch(tree, fd, [*parts, *more])):
            self.count(tree, verdict)
            yield

    def count(self, tree: Tree, verdict: str) -> None:
        if verdict == "EROFS":
            sys.exit(f"{tree.path} became read-only here: starting again, with the mounts of now")
        if verdict == "give" or verdict.startswith("E"):
            self.given[f"{tree.path}: {'given' if verdict == 'give' else verdict}"] += 1

    def sweep(self) -> Iterator[None]:
        for tree in self.trees:
            try:
                yield from self.cover(tree, [])
                tree.there = True
            except OSError as error:
                tree.there = False
                if error.errno != errno.ENOENT:
                    say(f"{tree.path}: {error.strerror}")

    def read_events(self) -> bool:
        """Handles what has happened since; True where a sweep is needed to know it."""
        missed = False
        try:
            data = os.read(self.inotify, 1 << 16)
        except BlockingIOError:
            return False
        while data:
            number, mask, _cookie, length = HEADER.unpack_from(data)
            name = os.fsdecode(data[HEADER.size : HEADER.size + length].rstrip(b"\0"))
            data = data[HEADER.size + length :]
            if mask & OVERFLOW:
                missed = True
            elif mask & UNMOUNT:
                sys.exit("a tree was unmounted")
            elif mask & IGNORED:
                self.watches.pop(number, None)
            elif number in self.watches and not name.endswith("-journal"):  # SQLite's come and go with each write
                missed |= self.receive(*self.watches[number], name)
        return missed

    def receive(self, tree: Tree, parts: list[str], name: str) -> bool:
        """Gives what an event tells of; True where it is too large to be given before the next event."""
        try:
            above = tree.open(parts)
            try:
                found = os.stat(name, dir_fd=above, follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    self.count(tree, give(above, name, tree.rule, place_of(above)))
                    return False
            finally:
                os.close(above)
            return sum(1 for _ in itertools.islice(self.cover(tree, [*parts, name]), AT_ONCE)) == AT_ONCE
        except OSError as error:
            if error.errno not in GONE:  # it is gone already, or another sort of thing by now
                self.count(tree, errno.errorcode.get(error.errno or 0, "E"))
        return False

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.inotify, select.POLLIN)
        sweep, begun = self.sweep(), time.monotonic()
        sweeping, missed, next_sweep = True, False, 0.0
        while True:
            pause = 0.0 if sweeping else max(0.0, next_sweep - time.monotonic())
            if not all(tree.there for tree in self.trees):
                pause = min(pause, MISSING_ROOT)
            if poll.poll(pause * 1000) and self.read_events():
                missed = True  # also what a sweep has passed already: another one follows it
            self.tell(idle=not sweeping)
            if not sweeping and (missed or time.monotonic() >= next_sweep or self.new_root()):
                sweep, begun, sweeping, missed = self.sweep(), time.monotonic(), True, False
            if sweeping and sum(1 for _ in itertools.islice(sweep, SLICE)) < SLICE:
                now, sweeping = time.monotonic(), False
                next_sweep = now + max(self.sweep_seconds, 20 * (now - begun))

    def new_root(self) -> bool:
        return any(not tree.there and os.path.isdir(tree.path) for tree in self.trees)

    def tell(self, idle: bool) -> None:
        if idle and self.given:
            say("; ".join(f"{what} {number}" for what, number in self.given.items()))
            self.given.clear()


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    Guard([Tree(tree) for tree in arguments["trees"]], arguments["sweep"]).run()
