"""A queue of inotify(7) over directories that are held open by whoever watches them: for programs that import it."""

from __future__ import annotations

import ctypes
import math
import os
import struct
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from files.pods.guard.watched_tree import session_of

CREATE, MOVED_TO, UNMOUNT, OVERFLOW, IGNORED = 0x100, 0x80, 0x2000, 0x4000, 0x8000
ONLY_DIRECTORIES, UNTIL_UNLINKED = 0x01000000, 0x04000000
SHARE = 0.25  # of each second
HEADER = struct.Struct("iIII")


class Event(NamedTuple):
    """Something new in a directory that is watched."""

    watch: int
    tree: Any
    path: str
    name: str


class UnmountedError(Exception):
    """The file system of a directory that is watched is gone."""


class Queue:
    """Directories of trees that are watched for new entries, each known by its tree and its path in that.

    A session in which more than `budget` entries are made in a second, or on whose entries more than a SHARE of the
    time is spent, has the directory in which the next is made watched no longer, so that it does not drown what happens
    elsewhere; watching it again is for the next sweep.
    """

    def __init__(self, at_once: int, budget: float = math.inf) -> None:
        self.at_once, self.budget = at_once, budget
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.handle = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.handle < 0:
            raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
        self.watches: dict[int, tuple[Any, str]] = {}
        self.places: dict[tuple[str, str], int] = {}
        self.seen: Counter[tuple[str, str]] = Counter()
        self.spent: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.since = time.monotonic()
        self.overflows = self.floods = 0

    def watch(self, tree: Any, path: str, handle: int) -> int:
        """Watches an open directory; an errno where that cannot be."""
        mask = CREATE | MOVED_TO | ONLY_DIRECTORIES | UNTIL_UNLINKED
        number = self.libc.inotify_add_watch(self.handle, f"/proc/self/fd/{handle}".encode(), mask)
        if number < 0:
            return ctypes.get_errno()
        before = self.places.get((tree.path, path), number)
        if before != number:  # a watch follows its directory, wherever that is moved: its place has another now
            self.forget(before)
        self.forget(number, removed=True)
        self.watches[number], self.places[tree.path, path] = (tree, path), number
        return 0

    def forget(self, number: int, removed: bool = False) -> None:
        """Watches a directory no more; `removed` where the kernel knows that."""
        tree, path = self.watches.pop(number, (None, ""))
        if tree is not None and self.places.get((tree.path, path)) == number:
            del self.places[tree.path, path]
        if tree is not None and not removed:
            self.libc.inotify_rm_watch(self.handle, number)

    def read(self) -> tuple[list[Event], bool]:
        """What has happened, up to `at_once` bytes of it, and whether some of it was lost."""
        events, lost = [], False
        try:
            data = os.read(self.handle, self.at_once)
        except BlockingIOError:
            return [], False
        if time.monotonic() - self.since >= 1:
            self.seen.clear()
            self.spent.clear()
            self.since = time.monotonic()
        while data:
            number, mask, _cookie, length = HEADER.unpack_from(data)
            name = os.fsdecode(data[HEADER.size : HEADER.size + length].rstrip(b"\0"))
            data = data[HEADER.size + length :]
            if mask & OVERFLOW:
                self.overflows += 1
                lost = True
            elif mask & UNMOUNT:
                raise UnmountedError
            elif mask & IGNORED:
                self.forget(number, removed=True)
            elif number in self.watches and self.flooded(number):
                lost = True
            elif number in self.watches:
                events.append(Event(number, *self.watches[number], name))
        return list(dict.fromkeys(events)), lost

    def session(self, number: int) -> tuple[str, str]:
        tree, path = self.watches[number]
        return session_of(tree.path, path)

    def flooded(self, number: int) -> bool:
        session = self.session(number)
        self.seen[session] += 1
        return self.seen[session] > self.budget and self.drop(number)

    def spend(self, number: int, seconds: float) -> bool:
        """Notes how long a directory's event has taken; whether it is watched no longer for that."""
        if number not in self.watches:
            return False
        session = self.session(number)
        self.spent[session] += seconds
        return self.spent[session] > SHARE and self.drop(number)

    def drop(self, number: int) -> bool:
        self.forget(number)
        self.floods += 1
        return True
