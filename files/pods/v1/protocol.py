"""Requests of the entries of this room; the reply of v1.inspect is in v1_state.py and running_state.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Optional

from files.pods.common.protocol import HostUser, Request


@dataclass(frozen=True)
class Service:
    """A service of systemd."""

    name: str
    uid: Optional[int] = None
    """The user of its manager; None for the system's."""

    @property
    def manager(self) -> str:
        """Return the manager as a message has it."""
        return "system" if self.uid is None else "user"


@dataclass(frozen=True)
class SpaceRequest:
    """A path, and what has to be mounted there."""

    path: str
    mount: Optional[str]


@dataclass(frozen=True)
class InspectRequest(Request):
    """A NanoClaw v1."""

    entry: ClassVar[str] = "v1.inspect"
    dir: str
    """A path, or auto."""
    root: str
    """v2's project root."""
    uid: int
    """The host user's."""
    space: list[SpaceRequest]
    seconds: int
    """For the inspection of the install."""


@dataclass(frozen=True)
class BackupRequest(Request):
    """A v1, and the directory of the backup."""

    entry: ClassVar[str] = "v1.backup"
    v1: str
    """Its project root."""
    to: str


@dataclass(frozen=True)
class ExtractRequest(HostUser, Request):
    """A v1, and the directory of the snapshot, which the host user owns."""

    entry: ClassVar[str] = "v1.extract"
    v1: str
    to: str
    """On a local file system."""


@dataclass(frozen=True)
class CopyRequest(HostUser, Request):
    """A v1 and a v2, which the host user owns."""

    entry: ClassVar[str] = "v1.copy"
    v1: str
    root: str
    """v2's project root."""
    v1_home: Optional[str]
    """The home with v1's allow-lists."""
    hard_links: bool
    """Whether they are kept."""
    final: bool
    """Whether v1 is stopped."""
    seconds: int


@dataclass(frozen=True)
class StopRequest(Request):
    """A v1."""

    entry: ClassVar[str] = "v1.stop"
    v1: Optional[Service]
    root: str
    """Its project root."""
    trying: str
    """A file in /run: while it exists, v1 does not start."""
    ran: str
    """A file that exists if v1 ran when it was stopped."""


@dataclass(frozen=True)
class FixUpRequest(HostUser, Request):
    """A v2, and the snapshot that it was made of."""

    entry: ClassVar[str] = "v1.fix_up"
    snapshot: str
    root: str
    unknown_senders: Optional[Literal["public", "strict", "request_approval"]]
    """The policy of every chat that v1 has now; None leaves v2's."""
    env_set: list[str]
    """Names in .env that the role sets."""
