"""The reply of a probe: what it observed on a host."""

from dataclasses import dataclass, field

from files.pods.common.protocol import Reply
from files.pods.probe.protocol import ProbeRequest


@dataclass(frozen=True)
class Step:
    """One step of the probe."""

    who: str
    what: str
    error: str | None = None
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
    """ran, failed, "no docker" or "no image"."""
    text: str = ""
    code: int | None = None
    ids: tuple[int, int] | None = None


@dataclass(frozen=True)
class Refused:
    """An existing entry that the agent may not write."""

    path: str
    error: str
    owner: tuple[int, int] | None


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


@dataclass(frozen=True)
class Observations(Reply):
    """Everything that the probe observed."""

    request = ProbeRequest

    seconds: float
    missing: list[str]
    """Mount points without a mount; nothing else was done then."""
    mounts: dict[str, ProbedMount]
    steps: list[Step] = field(default_factory=list)
    relied: list[str] = field(default_factory=list)
    """What ran as the agent: process, container."""
    flushed: bool = False
    """Whether a first refusal was an old answer, so that the machine's remembered permissions were dropped."""
    id_mapping: bool | None = None
    space: Space | None = None
    created: list[tuple[int, int]] = field(default_factory=list)
    """Owners right after creation by the host: session, outbox, outbound.db, .claude-shared, group directory."""
    settled: list[tuple[int, int]] | None = None
    """Their owners after the guard had its time."""
    waited: float | None = None
    guard: str | None = None
    """State of the guard's unit, where the guard did not chown."""
    guard_says: str = ""
    """The status text of the guard: what it watches, when it swept, what it could not chown."""
    chown: str | None = None
    """The errno when root chowns a file to the agent, where the guard did not chown."""
    container: Container | None = None
    survey: Surveyed | None = None
    left: list[str] = field(default_factory=list)
    """Scratch that could not be removed."""
