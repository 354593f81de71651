"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import HostUser, Request


@dataclass(frozen=True)
class ImageRequest(Request):
    """The agent image."""

    entry: ClassVar[str] = "source.agent_image"
    image: str
    root: str
    uid: int
    gid: int
    record: str


@dataclass(frozen=True)
class CheckoutRequest(HostUser, Request):
    """The checkout of a project root."""

    entry: ClassVar[str] = "source.checkout"
    root: str
    repository: str
    ref: str
    gives: bool
    """Whether this machine decides who owns a root on NFS."""
    onecli: Optional[str]
    """ONECLI_URL of the service's environment."""
    peek: bool
    """Whether a commit that is not here is fetched aside to see what it needs."""


@dataclass(frozen=True)
class Work(HostUser):
    """What every entry has that works in a project root, as the host user."""

    root: str
    lock: str
    """The run's lock file."""


@dataclass(frozen=True)
class FetchRequest(Work, Request):
    """A repository to create, and a commit to fetch."""

    entry: ClassVar[str] = "source.fetch"
    repository: str
    ref: str
    fetch: bool
    """Whether there is something to fetch."""
    mounts: list[str]
    """Mount points that must be mounted."""
    gives: bool
    """Whether this machine decides who owns a root on NFS."""
    unit: str
    """NanoClaw's."""


@dataclass(frozen=True)
class SwitchRequest(Work, Request):
    """A commit that was fetched."""

    entry: ClassVar[str] = "source.switch_commit"
    ref: str
    stash: Optional[str]
    """The message of the stash that takes local changes; None where there are none."""


@dataclass(frozen=True)
class BuildRequest(Work, Request):
    """A build, and the source that its stamp records."""

    entry: ClassVar[str] = "source.build"
    source: dict[str, Optional[str]]


@dataclass(frozen=True)
class MarkerRequest(Work, Request):
    """NanoClaw's marker of an upgrade."""

    entry: ClassVar[str] = "source.upgrade_marker"


@dataclass(frozen=True)
class BuildImageRequest(Work, Request):
    """The agent image that the checkout builds."""

    entry: ClassVar[str] = "source.build_image"


@dataclass(frozen=True)
class RestoreRequest(Work, Request):
    """A copy of the central database that replaces it."""

    entry: ClassVar[str] = "source.restore_database"
    unit: str
    file: str
    """The name of the copy."""
