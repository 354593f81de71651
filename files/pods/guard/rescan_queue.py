"""Which new directories the guard looks at again: for programs that import it.

Those in which the host goes on to write without being listened to: that are not watched, however they were found, or
whose events a flood of agents hides or has hidden. Each is looked at for as long as the host is at it; what the host
makes there after a longer rest, or after it has renamed the directory, waits for a sweep.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush

AGAIN = (0.1, 0.5, 2.0)  # seconds until the looks
NOISY = 60  # seconds for which there is a flood after one was noticed
SWEPT = 300  # looks that are due, with which a sweep adds none: it is repeated instead
WHILE = 0.1  # seconds of looks in a row
RECENT = 10  # seconds for which the host may still write in what it has made, before a flood was noticed

Place = tuple[int, str]
"""The number of a tree, and the path of a directory in it."""


class Looks:
    def __init__(self) -> None:
        self.heap: list[tuple[float, Place]] = []
        self.recent: deque[tuple[float, Place]] = deque()
        self.noisy_until = 0.0

    def made(self, place: Place) -> None:
        """Takes a new directory of the host, which is listened to."""
        now = time.monotonic()
        while self.recent and self.recent[0][0] < now - RECENT:
            self.recent.popleft()
        if now < self.noisy_until:
            self.again(place)
        else:
            self.recent.append((now, place))

    def unheard(self, place: Place, swept: bool) -> bool:
        """Takes a directory of which nothing is heard; False if there are too many that a sweep has found."""
        if swept and len(self.heap) >= SWEPT:
            return False
        self.again(place)
        return True

    def again(self, place: Place, pauses: tuple[float, ...] = AGAIN) -> None:
        for pause in pauses:
            heappush(self.heap, (time.monotonic() + pause, place))

    def lost(self) -> None:
        """Something was not heard: it may have been of what is new."""
        self.noisy_until = time.monotonic() + NOISY
        while self.recent:
            self.again(self.recent.popleft()[1])

    @property
    def due(self) -> list[float]:
        """When the next is due, if there is one."""
        return [when for when, _place in self.heap[:1]]

    def now(self) -> Iterator[Place]:
        """Those that are due, for a while."""
        end = time.monotonic() + WHILE
        while self.heap and self.heap[0][0] <= time.monotonic() < end:
            yield heappop(self.heap)[1]
