"""A queue of inotify(7) events for directories that the caller opens."""

from __future__ import annotations

import errno
import math
import os
import struct
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from files.pods.common.linux import (
    IN_CREATE,
    IN_EXCL_UNLINK,
    IN_IGNORED,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
)
from files.pods.guard.watched_tree import session_of

MAX_SHARE = 0.25  # of the time that one session may take
HEADER = struct.Struct("iIII")


class Event(NamedTuple):
    """A new entry in a watched directory."""

    watch: int
    tree: Any
    path: str
    name: str


class UnmountedError(Exception):
    """The file system of a watched directory was unmounted."""


class InotifyQueue:
    """Watches on directories of trees, each known by its tree and its path in the tree.

    A session may cause `budget` events a second and use MAX_SHARE of the time. Beyond that the directory of its next
    event loses its watch until the next sweep, so that one session cannot hide events of the others.
    """

    def __init__(self, read_bytes: int, budget: float = math.inf) -> None:
        self.read_bytes, self.budget = read_bytes, budget
        self.fd = inotify_init()
        self.watches: dict[int, tuple[Any, str]] = {}
        self.watch_of: dict[tuple[str, str], int] = {}
        self.event_counts: Counter[tuple[str, str]] = Counter()
        self.seconds_spent: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.window_start = time.monotonic()
        self.overflows = self.floods = 0

    def watch(self, tree: Any, path: str, fd: int) -> int:
        """Watch an open directory; return 0 or an errno."""
        try:
            number = inotify_add_watch(self.fd, fd, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK)
        except OSError as error:
            return error.errno or errno.EIO
        previous = self.watch_of.get((tree.path, path), number)
        if previous != number:  # a watch follows a moved directory; another has its path now
            self.remove_watch(previous)
        self.remove_watch(number, removed=True)
        self.watches[number], self.watch_of[tree.path, path] = (tree, path), number
        return 0

    def remove_watch(self, number: int, removed: bool = False) -> None:
        """Remove a watch; with `removed` the kernel has removed it already."""
        tree, path = self.watches.pop(number, (None, ""))
        if tree is not None and self.watch_of.get((tree.path, path)) == number:
            del self.watch_of[tree.path, path]
        if tree is not None and not removed:
            inotify_rm_watch(self.fd, number)

    def read(self) -> tuple[list[Event], bool]:
        """Read up to `read_bytes` bytes of events; return them, and whether some were lost."""
        events, overflowed = [], False
        try:
            data = os.read(self.fd, self.read_bytes)
        except BlockingIOError:
            return [], False
        if time.monotonic() - self.window_start >= 1:
            self.event_counts.clear()
            self.seconds_spent.clear()
            self.window_start = time.monotonic()
        while data:
            number, mask, _cookie, length = HEADER.unpack_from(data)
            name = os.fsdecode(data[HEADER.size : HEADER.size + length].rstrip(b"\0"))
            data = data[HEADER.size + length :]
            if mask & IN_Q_OVERFLOW:
                self.overflows += 1
                overflowed = True
            elif mask & IN_UNMOUNT:
                raise UnmountedError
            elif mask & IN_IGNORED:
                self.remove_watch(number, removed=True)
            elif number in self.watches and self.is_flooded(number):
                overflowed = True
            elif number in self.watches:
                events.append(Event(number, *self.watches[number], name))
        return list(dict.fromkeys(events)), overflowed

    def session_of_watch(self, number: int) -> tuple[str, str]:
        """Return the session that a watch belongs to."""
        tree, path = self.watches[number]
        return session_of(tree.path, path)

    def is_flooded(self, number: int) -> bool:
        """Count an event; return whether its watch was removed because the session exceeds its budget."""
        session = self.session_of_watch(number)
        self.event_counts[session] += 1
        return self.event_counts[session] > self.budget and self.drop_watch(number)

    def add_time(self, number: int, seconds: float) -> bool:
        """Add the seconds that an event took; return whether its watch was removed for that."""
        if number not in self.watches:
            return False
        session = self.session_of_watch(number)
        self.seconds_spent[session] += seconds
        return self.seconds_spent[session] > MAX_SHARE and self.drop_watch(number)

    def drop_watch(self, number: int) -> bool:
        """Remove a watch because of a flood."""
        self.remove_watch(number)
        self.floods += 1
        return True
