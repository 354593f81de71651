"""What the guard has under way: a sweep's sessions, and what is large, a little of each in turn.

For programs that import it. An agent can make its session as large as it likes, and move what was walked ahead of the
walk, so that this never ends: nothing else waits for it, neither the other sessions nor the next sweep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from files.pods.guard.watched_tree import session_of

TURN = 200  # entries of one session between two looks at the events, and before it is the next one's turn
UNDER_WAY = 16  # sessions that a sweep goes through in turn
LONG = 500  # turns after which a sweep goes on without a session
APART = 32  # of those, and of large directories that are new
OF_ONE = 2  # of these in one session, beside the session itself

Key = tuple[str, str]
"""A tree's path, and that of a directory in it."""


class Work:
    def __init__(self) -> None:
        self.swept: deque[tuple[Key, Iterator[None], int]] = deque()
        self.apart: dict[Key, Iterator[None]] = {}

    @property
    def has_room(self) -> bool:
        """Whether a sweep may go on to its next session."""
        return len(self.swept) < UNDER_WAY

    def sweep(self, key: Key, steps: Iterator[None]) -> None:
        """Takes a session of a sweep, unless an earlier one is still at it."""
        if key not in self.apart:
            self.swept.append((key, steps, 0))

    def set_apart(self, key: Key, steps: Iterator[None]) -> bool:
        """Goes on with a directory by itself; False where there is no room for it."""
        if sum(session_of(*other) == session_of(*key) for other in self.apart) >= OF_ONE:
            return False
        return self._go_on(key, steps)

    def _go_on(self, key: Key, steps: Iterator[None]) -> bool:
        if key in self.apart or len(self.apart) >= APART:
            return False
        self.apart[key] = steps
        return True

    def turn(self) -> int:
        """One turn of a session of the sweep, and one of what is apart. How many were given up: there was no room."""
        given_up = 0
        if self.swept:
            key, steps, turns = self.swept.popleft()
            if advance(steps, TURN):
                pass
            elif turns < LONG:
                self.swept.append((key, steps, turns + 1))
            else:
                given_up = not self._go_on(key, steps)
        if self.apart:
            key = next(iter(self.apart))
            steps = self.apart.pop(key)
            if not advance(steps, TURN):
                self.apart[key] = steps
        return given_up

    def __bool__(self) -> bool:
        return bool(self.swept or self.apart)


def advance(work: Iterator[None], entries: int) -> bool:
    """Whether work has come to its end within so many entries."""
    return any(next(work, work) is work for _ in range(entries))
