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
"""staging and staged: v1 serves. switching: nobody does. finished: v2 serves. rolled back: v1 serves again."""


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
    """A host's migration, from its first attempt to its last."""

    host: str
    v1: str
    """The project root of v1."""
    root: str
    """That of v2."""
    unit: str
    """The service that ran v1."""
    versions: dict[Literal["v1", "v2"], str]
    attempt: int
    """How often it was begun, this time included."""
    state: State
    steps: list[Step]
    """Of this attempt, in the order in which they were begun."""
    stopped: float | None
    """When v1 was stopped; None before that."""
    serving: float | None
    """When what came after it was seen to serve: v2, or v1 again where it was put back."""
    chats: str = ""
    """A digest of v1's groups as they were when the attempt began."""
    aside: bool = False
    """Whether what an earlier attempt has left of v2 has yet to be put aside."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Journal:
        """The journal that a file holds; pydantic.ValidationError, a ValueError, where it holds something else."""
        return TypeAdapter(cls).validate_json(text)

    @property
    def seconds_without_service(self) -> float | None:
        """From the stop of v1 until something served again; None where v1 was not stopped, or nothing serves yet."""
        return None if self.stopped is None or self.serving is None else self.serving - self.stopped
