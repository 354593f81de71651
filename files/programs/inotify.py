"""A queue of inotify(7) over directories that are held open by whoever watches them: for programs that import it."""

from __future__ import annotations

import ctypes
import math
import os
import struct
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

CREATE, MOVED_TO, UNMOUNT, OVERFLOW, IGNORED = 0x100, 0x80, 0x2000, 0x4000, 0x8000
ONLY_DIRECTORIES, UNTIL_UNLINKED = 0x01000000, 0x04000000
SHARE = 0.1  # of each second
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

    A directory in which more than `budget` entries are made in a second, or on whose entries more than a SHARE of the
    time is spent, is watched no longer, so that it does not drown what happens elsewhere; watching it again is for the
    next sweep.
    """

    def __init__(self, at_once: int, budget: float = math.inf) -> None:
        self.at_once, self.budget = at_once, budget
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.handle = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.handle < 0:
            raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
        self.watches: dict[int, tuple[Any, str]] = {}
        self.seen: Counter[int] = Counter()
        self.spent: defaultdict[int, float] = defaultdict(float)
        self.since = time.monotonic()
        self.overflows = self.floods = 0

    def watch(self, tree: Any, path: str, handle: int) -> int:
        """Watches an open directory; an errno where that cannot be."""
        mask = CREATE | MOVED_TO | ONLY_DIRECTORIES | UNTIL_UNLINKED
        number = self.libc.inotify_add_watch(self.handle, f"/proc/self/fd/{handle}".encode(), mask)
        if number < 0:
            return ctypes.get_errno()
        self.watches[number] = (tree, path)
        return 0

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
                self.watches.pop(number, None)
            elif number in self.watches and self.flooded(number):
                lost = True
            elif number in self.watches:
                events.append(Event(number, *self.watches[number], name))
        return list(dict.fromkeys(events)), lost

    def flooded(self, number: int) -> bool:
        self.seen[number] += 1
        return self.seen[number] > self.budget and self.drop(number)

    def spend(self, number: int, seconds: float) -> bool:
        """Notes how long a directory's event has taken; whether it is watched no longer for that."""
        self.spent[number] += seconds
        return self.spent[number] > SHARE and self.drop(number)

    def drop(self, number: int) -> bool:
        if self.watches.pop(number, None):
            self.libc.inotify_rm_watch(self.handle, number)
            self.floods += 1
        return True
