"""What the entries of this room are asked, and their replies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Optional

from files.pods.common.protocol import HostUser, Reply, Request
from files.pods.transition.documents import BadVersion, Journal, Run, Work
from files.pods.v1.protocol import Service


@dataclass(frozen=True)
class ProgressRequest(Request):
    """A transition: its directory, its transient unit, the project root and the marker of the decision."""

    entry: ClassVar[str] = "transition.state"
    directory: str
    service: str
    root: str
    marker: str


@dataclass(frozen=True)
class Progress(Reply):
    """How far a transition has come."""

    request = ProgressRequest

    journal: Optional[Journal]
    under_way: bool
    decided: bool
    """Whether the new version is committed."""
    recorded: bool
    """Whether the record is up to date with the journal."""
    v2_has_state: bool
    """Whether v2's project root has a database already."""
    bad: dict[str, BadVersion] = field(default_factory=dict)
    """Commits that failed on this machine."""

    @property
    def needs_rollback(self) -> bool:
        """Return whether there is something to roll back: v2 starts, or neither does."""
        return self.decided or (self.journal is not None and self.journal.state in ("finished", "switching"))


@dataclass(frozen=True)
class StartRequest(Request):
    """A part of a transition. Standard input has its StartPayload."""

    entry: ClassVar[str] = "transition.start"
    directory: str
    service: str
    """The name of a transient unit."""
    seconds: int


@dataclass(frozen=True)
class StartPayload:
    """The programs of a part of a transition, and its work."""

    archive: str
    """In base64."""
    file: str
    """Where the archive is written."""
    work: Work


@dataclass(frozen=True)
class RunnerRequest(Request):
    """A transition, by its directory."""

    entry: ClassVar[str] = "transition.runner"
    directory: str
    back: bool
    """Whether to end an interrupted switch, and nothing else: for systemd's ExecStopPost=."""


@dataclass(frozen=True)
class ChannelsRequest(HostUser, Request):
    """Channels to install into v2's checkout."""

    entry: ClassVar[str] = "transition.install_channels"
    root: str
    lock: str
    """The run's lock file."""
    channels: list[str]


@dataclass(frozen=True)
class SpaceNeed:
    """The space that one file system must have free."""

    paths: tuple[str, ...]
    """On it."""
    bytes: int
    entries: int


@dataclass(frozen=True)
class CheckSpaceRequest(Request):
    """The space that a transition needs."""

    entry: ClassVar[str] = "transition.check_space"
    needs: list[SpaceNeed]


@dataclass(frozen=True)
class ArchiveRequest(HostUser, Request):
    """An earlier attempt of a migration."""

    entry: ClassVar[str] = "transition.archive_attempt"
    root: str
    """v2's project root."""
    journal: str
    trees: dict[str, str]
    """The paths of v2-sessions and groups."""
    snapshot: str
    env_set: list[str]
    """Names in .env that the role sets."""


@dataclass(frozen=True)
class ConditionsRequest(Request):
    """The services of v1 and v2, and the files that select which of them may start."""

    entry: ClassVar[str] = "transition.unit_conditions"
    v1: Optional[Service]
    v2: str
    """The name of its unit."""
    marker: str
    trying: str


@dataclass(frozen=True)
class UpstreamStepRequest(HostUser, Request):
    """A step of NanoClaw's own migration."""

    entry: ClassVar[str] = "transition.upstream_step"
    root: str
    snapshot: str
    step: str
    """Its name in setup/migrate-v2."""
    args: list[str]
    """Its arguments after the snapshot."""
    mask: str
    """umask(2) as octal text."""


@dataclass(frozen=True)
class GateRequest(HostUser, Request):
    """A new version that must be proven."""

    entry: ClassVar[str] = "transition.gate"
    probe: Run
    unit: str
    root: str
    command: Optional[list[str]]
    """Runs as the host user in the project root, and must end with status 0."""
    seconds: int
    """For the command."""
    stable: int = 0
    """Seconds for which the service must have been up, as one process."""


@dataclass(frozen=True)
class CommitRequest(Request):
    """The files of a transition that is committed."""

    entry: ClassVar[str] = "transition.commit"
    marker: str
    trying: str
    ran: str
    text: str
    """The content of the marker."""


@dataclass(frozen=True)
class RollbackRequest(Request):
    """A migration that is rolled back."""

    entry: ClassVar[str] = "transition.roll_back_to_v1"
    v1: Optional[Service]
    v2: str
    """The name of its unit."""
    label: str
    """Of v2's containers."""
    marker: str
    trying: str
    ran: str
    """A file that exists if v1 ran when it was stopped."""
    start: bool = False
    """Whether v1 starts even if it did not run."""
    serves: bool = False
    """Whether v2 serves; it continues if v1 does not stay up."""
    journal: Optional[str] = None
    """The journal that says so, too."""
