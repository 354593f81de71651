"""The files of a transition on a machine: work.json, which the role writes, and journal.json of its runner.

A transition is a migration from v1, or a change of version of a v2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from files.pods.transition.step_ids import Mark, StepId


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
    """What a transition is about."""

    host: str
    v1: str
    """The project root of v1; empty for a change of version."""
    root: str
    """That of v2."""
    unit: str
    """The service that ran the old version."""
    chats: str
    """A digest of v1's groups at the start of the attempt; empty for a change of version."""
    versions: dict[Literal["v1", "v2", "old", "new"], str]
    """By name: v1 and v2 of a migration, old and new of a change of version."""

    @property
    def what(self) -> str:
        """Return what messages call it."""
        return "migration" if self.v1 else "change of version"

    @property
    def old_name(self) -> str:
        """Return how messages name what served before."""
        return "v1" if self.v1 else f"NanoClaw {self.versions['old']}"


@dataclass(frozen=True)
class Work:
    """A part of a transition, as work.json of its directory has it."""

    part: Literal["staging", "switching"]
    head: Head
    steps: list[PlannedStep]
    back: PlannedStep
    """The step that rolls back to the old version."""
    marker: str
    """The file that commits to the new version."""
    trying: str


State = Literal["new", "staging", "staged", "switching", "finished", "rolled back"]
"""staging, staged: the old version serves. switching: neither. finished: the new one. rolled back: the old one."""


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
    """A host's transition: its last attempt, as journal.json of its directory has it."""

    attempt: int
    """Number of this attempt, from 1."""
    state: State
    steps: list[JournalStep]
    """Steps of this attempt, in order."""
    stopped: Optional[float]
    """When the old version was stopped; None before that."""
    serving: Optional[float]
    """When something served again: the new version, or the old one after a rollback."""
    aside: bool
    """Whether an earlier attempt left files of v2 that are not archived yet."""

    @property
    def seconds_without_service(self) -> Optional[float]:
        """Return the time from the stop until something served; None without a stop, or if nothing serves yet."""
        return None if self.stopped is None or self.serving is None else self.serving - self.stopped


VERSION_CHANGE = ".transition"
"""The end of the name of the directory of a change of version."""
WORK, NEXT_WORK = "work.json", "next-work.json"
"""The Work in the directory; and the one that takes its place once the runner has ended an interrupted switch."""
MOST_FAILURES = 3
"""After so many rollbacks from one commit a machine is left alone."""
BAD_VERSIONS = "bad-versions.json"
"""In the directory of a change of version: the BadVersion of each commit that failed."""


@dataclass(frozen=True)
class BadVersion:
    """A commit that failed, with how often a switch to it was rolled back."""

    version: str
    count: int
    attempt: Optional[str] = None
    """The id of the last of these switches."""
