"""The journal of one host's migration: its steps and their times, as JSON on the host.

This is the shape alone. files/pods/migration/runner.py writes it before and after each step, so that the next run knows
how far a run that was killed had come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from files.pods.migration.step_ids import StepId

State = Literal["new", "staging", "staged", "switching", "finished", "rolled back"]
"""staging and staged: v1 serves. switching: neither does. finished: v2 serves. rolled back: v1 serves again."""


@dataclass(frozen=True)
class Step:
    """One step. Times are seconds since the epoch."""

    name: str
    state: Literal["running", "done", "failed", "undone"]
    started: float
    ended: float | None
    said: str
    """Its last output, printable; empty for none."""
    id: StepId | None = None
    """None for a step that this version does not know."""


@dataclass(frozen=True)
class Journal:
    """A host's migration: its last attempt."""

    host: str
    v1: str
    """The project root of v1."""
    root: str
    """That of v2."""
    unit: str
    """The service that ran v1."""
    versions: dict[Literal["v1", "v2"], str]
    attempt: int
    """Number of this attempt, from 1."""
    state: State
    steps: list[Step]
    """Steps of this attempt, in order."""
    stopped: float | None
    """When v1 was stopped; None before that."""
    serving: float | None
    """When something served again: v2, or v1 after a rollback."""
    chats: str = ""
    """A digest of v1's groups at the start of the attempt."""
    aside: bool = False
    """Whether an earlier attempt left files of v2 that are not archived yet."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Journal:
        """Parse a journal; raise pydantic.ValidationError, a ValueError, for anything else."""
        return TypeAdapter(cls).validate_json(text)

    @property
    def seconds_without_service(self) -> float | None:
        """Return the time from the stop of v1 until something served; None without a stop, or if nothing serves yet."""
        return None if self.stopped is None or self.serving is None else self.serving - self.stopped
