"""How long new sessions of other groups wait until the agent owns them, during an attack."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from multiprocessing.queues import SimpleQueue
from pathlib import Path

GROUPS = 5
PAUSE = 0.05
TIME_LIMIT = 60.0


def make_session(sessions: Path, group: str, name: str) -> list[Path]:
    """Create what NanoClaw v2 creates for a new session, in its order."""
    session = sessions / group / name
    shared = session.parent / ".claude-shared"
    session.mkdir(parents=True)
    for database in ("inbound.db", "outbound.db"):
        with sqlite3.connect(session / database) as connection:
            connection.execute("CREATE TABLE note (text)")
        connection.close()
    for folder in (session / "outbox", session / "inbox"):
        folder.mkdir()
    shared.mkdir(exist_ok=True)
    return [session.parent, shared, *session.iterdir(), session]


def wait_for_owner(made: Sequence[Path], agent: int, begun: float) -> float:
    """Return the seconds from `begun` until the agent owns all entries, or TIME_LIMIT."""
    left = list(made)
    while left and time.monotonic() - begun < TIME_LIMIT:
        left = [path for path in left if os.lstat(path).st_uid != agent]
        if left:
            time.sleep(0.001)
    return time.monotonic() - begun if not left else TIME_LIMIT


def run(sessions: Path, agent: int, stop: Callable[[], bool], answers: SimpleQueue[float]) -> None:
    """Create one session after the other until `stop`, and put the seconds of each into `answers`."""
    number = 0
    while not stop():
        begun = time.monotonic()
        made = make_session(sessions, f"fair-{number % GROUPS}", f"sess-{number}")
        answers.put(wait_for_owner(made, agent, begun))
        number += 1
        time.sleep(PAUSE)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return milliseconds: median, 99th percentile, maximum."""
    if not seconds:
        return {"sessions": 0}
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
    return {
        "sessions": len(ordered),
        **{
            name: round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1) for name, part in at.items()
        },
    }
