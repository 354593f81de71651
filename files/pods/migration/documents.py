"""The files of a migration on a machine: work.json, which the role writes, and journal.json of its runner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from files.pods.migration.step_ids import Mark, StepId


@dataclass(frozen=True)
class Run:
    """How the machine itself runs a program: argv and standard input."""

    argv: list[str]
    input: str


@dataclass(frozen=True)
class PlannedStep(Run):
    """A step that runs on the machine. The runner goes by id and marks; the name is only shown."""

    id: StepId
    name: str
    seconds: int
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Head:
    """What a migration is about."""

    host: str
    v1: str
    """The project root of v1."""
    root: str
    """That of v2."""
    unit: str
    """The service that ran v1."""
    chats: str
    """A digest of v1's groups at the start of the attempt."""
    versions: dict[Literal["v1", "v2"], str]


@dataclass(frozen=True)
class Work:
    """A part of a migration, as work.json of its directory has it."""

    part: Literal["staging", "switching"]
    head: Head
    steps: list[PlannedStep]
    back: PlannedStep
    """The step that rolls back to v1."""
    marker: str
    """The file that commits to v2."""
    trying: str


State = Literal["new", "staging", "staged", "switching", "finished", "rolled back"]
"""staging and staged: v1 serves. switching: neither does. finished: v2 serves. rolled back: v1 serves again."""


@dataclass(frozen=True)
class JournalStep:
    """A step that has begun. Times are seconds since the epoch."""

    name: str
    state: Literal["running", "done", "failed", "undone"]
    started: float
    ended: Optional[float]
    output: str
    """Its last output, printable; empty for none."""
    id: Optional[StepId] = None
    """None for a step that this version does not know."""


@dataclass(frozen=True)
class Journal(Head):
    """A host's migration: its last attempt, as journal.json of its directory has it."""

    attempt: int
    """Number of this attempt, from 1."""
    state: State
    steps: list[JournalStep]
    """Steps of this attempt, in order."""
    stopped: Optional[float]
    """When v1 was stopped; None before that."""
    serving: Optional[float]
    """When something served again: v2, or v1 after a rollback."""
    aside: bool
    """Whether an earlier attempt left files of v2 that are not archived yet."""

    @property
    def seconds_without_service(self) -> Optional[float]:
        """Return the time from the stop of v1 until something served; None without a stop, or if nothing serves yet."""
        return None if self.stopped is None or self.serving is None else self.serving - self.stopped
