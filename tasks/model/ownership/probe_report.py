"""What a probe saw of a host: the types that its answer becomes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One step of the probe."""

    who: str
    what: str
    error: str | None = None
    """errno's name, SQLITE, ETIMEDOUT, or EXIT for a command of the container."""
    text: str = ""


@dataclass(frozen=True)
class MountSeen:
    """The mount that a tree lies on."""

    point: str
    type: str
    source: str
    options: list[str]


@dataclass(frozen=True)
class Space:
    """What is free on the file system of the sessions."""

    bytes: int
    inodes: int


@dataclass(frozen=True)
class Container:
    """How the agent's container went."""

    state: str
    """ran, failed, "no docker" or "no image"."""
    text: str = ""
    code: int | None = None
    ids: tuple[int, int] | None = None


@dataclass(frozen=True)
class Refused:
    """Something that exists and that the agent may not write."""

    path: str
    error: str
    owner: tuple[int, int] | None


@dataclass(frozen=True)
class Surveyed:
    """What an agent could not write of what exists."""

    sessions: int
    groups: int
    refused: int
    samples: list[Refused]
    journals: list[str]
    """Hot journals: left by a writer that was killed, and nobody is writing."""
    complete: bool = True
    """Whether all was looked at in the time there is."""


@dataclass(frozen=True)
class Observations:
    """Everything that the probe saw."""

    seconds: float
    missing: list[str]
    """Mount points without a mount; nothing else was done then."""
    mounts: dict[str, MountSeen]
    steps: list[Step] = field(default_factory=list)
    relied: list[str] = field(default_factory=list)
    """What acted as the agent: process, container."""
    flushed: bool = False
    """Whether a first refusal was an old answer, so that the machine's remembered permissions were dropped."""
    id_mapping: bool | None = None
    space: Space | None = None
    born: list[tuple[int, int]] = field(default_factory=list)
    """Owners of what the host made, at once: session, outbox, outbound.db, .claude-shared, group directory."""
    settled: list[tuple[int, int]] | None = None
    """The same after the guard had its time."""
    waited: float | None = None
    guard: str | None = None
    """State of the guard's unit, asked for where it did not do its work."""
    guard_says: str = ""
    """How the guard says that it is: what it watches, when it swept, what it could not give."""
    chown: str | None = None
    """The error when root gives a file to the agent, likewise."""
    container: Container | None = None
    survey: Surveyed | None = None
    left: list[str] = field(default_factory=list)
    """Scratch that could not be removed."""
