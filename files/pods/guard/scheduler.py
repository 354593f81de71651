"""Round-robin over the sessions of a sweep and over large directories.

An agent can make its session arbitrarily large, and move entries ahead of the walk forever. So nothing waits for one
session: neither the other sessions nor the next sweep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from files.pods.guard.watched_tree import session_of

TURN_ENTRIES = 200  # entries per turn; then events are read and the next session has its turn
MAX_SESSIONS = 16  # of a sweep at the same time
MAX_TURNS = 500  # per session; then it continues in the background
MAX_BACKGROUND = 32  # directories in the background
MAX_PER_SESSION = 2  # new directories of one session; the session itself may be one more

Key = tuple[str, str]
"""Path of a tree, and path of a directory in it."""


class RoundRobin:
    """Sessions of the current sweep, and directories in the background."""

    def __init__(self) -> None:
        self.sessions: deque[tuple[Key, Iterator[None], int]] = deque()
        self.background: dict[Key, Iterator[None]] = {}

    @property
    def accepts_sessions(self) -> bool:
        """Whether the sweep may add its next session."""
        return len(self.sessions) < MAX_SESSIONS

    def add_session(self, key: Key, steps: Iterator[None]) -> None:
        """Add a session of the sweep, unless it is still in the background."""
        if key not in self.background:
            self.sessions.append((key, steps, 0))

    def add_background(self, key: Key, steps: Iterator[None]) -> bool:
        """Continue a directory in the background; return False if there is no room."""
        if sum(session_of(*other) == session_of(*key) for other in self.background) >= MAX_PER_SESSION:
            return False
        return self._move_to_background(key, steps)

    def _move_to_background(self, key: Key, steps: Iterator[None]) -> bool:
        if key in self.background or len(self.background) >= MAX_BACKGROUND:
            return False
        self.background[key] = steps
        return True

    def run_turn(self) -> int:
        """Advance one session and one background directory; return how many were dropped for lack of room (0 or 1)."""
        dropped = 0
        if self.sessions:
            key, steps, turns = self.sessions.popleft()
            if advance(steps, TURN_ENTRIES):
                pass
            elif turns < MAX_TURNS:
                self.sessions.append((key, steps, turns + 1))
            else:
                dropped = not self._move_to_background(key, steps)
        if self.background:
            key = next(iter(self.background))
            steps = self.background.pop(key)
            if not advance(steps, TURN_ENTRIES):
                self.background[key] = steps
        return dropped

    def __bool__(self) -> bool:
        return bool(self.sessions or self.background)


def advance(steps: Iterator[None], entries: int) -> bool:
    """Run up to `entries` steps; return whether they have ended."""
    return any(next(steps, steps) is steps for _ in range(entries))
