"""Requests and replies of the entries of this room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Optional

from files.pods.common.protocol import Reply, Request


@dataclass(frozen=True)
class ProbeRequest(Request):
    """A probe as host and as agent."""

    entry: ClassVar[str] = "probe.main"
    sessions: str
    groups: str
    mounts: list[str]
    """Mount points that have to be there."""
    host: tuple[int, int]
    agent: tuple[int, int]
    user: Optional[str]
    """docker's --user."""
    image: str
    wait: float
    """Seconds for the guard."""
    guard: str
    """The guard's unit."""
    heal: float
    """Seconds for NanoClaw to end what a killed agent left."""
    slug: str


@dataclass(frozen=True)
class Step:
    """One step of the probe."""

    who: str
    what: str
    error: Optional[str] = None
    """errno's name, SQLITE, ETIMEDOUT, or EXIT for a command of the container."""
    text: str = ""


@dataclass(frozen=True)
class ProbedMount:
    """The mount that a tree lies on."""

    point: str
    type: str
    source: str
    options: list[str]


@dataclass(frozen=True)
class Space:
    """Free space on the file system of the sessions."""

    bytes: int
    inodes: int


@dataclass(frozen=True)
class Container:
    """The result of the agent's container."""

    state: str
    """ran, failed, unfinished (it ended before its last step), "no docker" or "no image"."""
    text: str = ""
    code: Optional[int] = None
    ids: Optional[tuple[int, int]] = None


@dataclass(frozen=True)
class Refused:
    """An existing entry that the agent may not write."""

    path: str
    error: str
    owner: Optional[tuple[int, int]]


@dataclass(frozen=True)
class Surveyed:
    """Existing entries that an agent cannot write."""

    sessions: int
    groups: int
    refused: int
    samples: list[Refused]
    journals: list[str]
    """Hot journals: a killed writer left them, and nobody is writing."""
    complete: bool = True
    """Whether the survey ended before its deadline."""


@dataclass
class Observations(Reply):
    """Everything that the probe observed; it fills them in step by step."""

    request = ProbeRequest

    mounts: dict[str, ProbedMount]
    """The mount of each tree."""
    missing: list[str]
    """Mount points without a mount; nothing else was done then."""
    seconds: float = 0
    steps: list[Step] = field(default_factory=list)
    relied: list[str] = field(default_factory=list)
    """What ran as the agent: process, container."""
    flushed: bool = False
    """Whether a first refusal was an old answer, so that the machine's remembered permissions were dropped."""
    id_mapping: Optional[bool] = None
    space: Optional[Space] = None
    created: list[tuple[int, int]] = field(default_factory=list)
    """Owners right after creation by the host: session, outbox, outbound.db, .claude-shared, group directory."""
    settled: Optional[list[tuple[int, int]]] = None
    """Their owners after the guard had its time."""
    waited: Optional[float] = None
    guard: Optional[str] = None
    """State of the guard's unit, where the guard did not chown."""
    guard_says: str = ""
    """The status text of the guard: what it watches, when it swept, what it could not chown."""
    chown: Optional[str] = None
    """The errno when root chowns a file to the agent, where the guard did not chown."""
    container: Optional[Container] = None
    survey: Optional[Surveyed] = None
    left: list[str] = field(default_factory=list)
    """Scratch that could not be removed."""
