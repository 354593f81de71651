"""Directories that must be rescanned because inotify does not report what the host writes in them.

They have no watch, or a flood of agents' events made the kernel drop theirs. A directory is rescanned until nothing new
was found for two seconds. Later files, and files in a renamed directory, wait for the next sweep.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush

RESCAN_DELAYS = (0.1, 0.5, 2.0)  # seconds until each rescan
FLOOD_SECONDS = 60  # a flood is assumed to last this long
MAX_FROM_SWEEP = 300  # with so many waiting a sweep adds no more; another sweep follows instead
BATCH_SECONDS = 0.1  # of rescans in a row, before events are read
RECENT_SECONDS = 10  # the host may still write in a directory that it created so long before a flood

Directory = tuple[int, str]
"""Index of a tree, and the path of a directory in it."""


class RescanQueue:
    """A heap of directories by the time of their next rescan."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, Directory]] = []
        self.recent: deque[tuple[float, Directory]] = deque()
        self.flood_until = 0.0

    def on_created(self, directory: Directory) -> None:
        """Note a new directory of the host, in a watched parent; rescan it if a flood may have hidden events."""
        now = time.monotonic()
        while self.recent and self.recent[0][0] < now - RECENT_SECONDS:
            self.recent.popleft()
        if now < self.flood_until:
            self.schedule(directory)
        else:
            self.recent.append((now, directory))

    def on_unwatched(self, directory: Directory, from_sweep: bool) -> bool:
        """Schedule rescans of an unwatched directory; return False if a sweep has found too many."""
        if from_sweep and len(self.heap) >= MAX_FROM_SWEEP:
            return False
        self.schedule(directory)
        return True

    def schedule(self, directory: Directory, delays: tuple[float, ...] = RESCAN_DELAYS) -> None:
        """Schedule rescans of a directory after some delays."""
        for delay in delays:
            heappush(self.heap, (time.monotonic() + delay, directory))

    def on_overflow(self) -> None:
        """Schedule rescans of recent directories: events were lost, maybe theirs."""
        self.flood_until = time.monotonic() + FLOOD_SECONDS
        while self.recent:
            self.schedule(self.recent.popleft()[1])

    @property
    def next_due(self) -> list[float]:
        """Time of the next rescan, or an empty list."""
        return [when for when, _directory in self.heap[:1]]

    def pop_due(self) -> Iterator[Directory]:
        """Yield directories that are due, for BATCH_SECONDS at most."""
        end = time.monotonic() + BATCH_SECONDS
        while self.heap and self.heap[0][0] <= time.monotonic() < end:
            yield heappop(self.heap)[1]
