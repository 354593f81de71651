"""Requests and replies of the entries of this room; the reply of the preflight is in machine_state.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Optional

from files.pods.common.protocol import HostUser, Reply, Request


@dataclass(frozen=True)
class EntryRequest:
    """A request to another entry."""

    entry: str
    request: dict[str, Any]


@dataclass(frozen=True)
class BatchRequest(Request):
    """Many requests in one round trip. Standard input has a JSON list of what each entry reads from its own."""

    entry: ClassVar[str] = "machine.batch"
    requests: list[EntryRequest]


@dataclass(frozen=True)
class BatchReply(Reply):
    """What the entries printed, in the order of the requests; None where one failed."""

    request = BatchRequest

    replies: list[Optional[str]]


@dataclass(frozen=True)
class PackagesRequest(Request):
    """Names of Debian packages."""

    entry: ClassVar[str] = "machine.packages"
    packages: list[str]


@dataclass(frozen=True)
class PackagesReply(Reply):
    """Installed packages among those of the request: name to version."""

    request = PackagesRequest

    installed: dict[str, str]


@dataclass(frozen=True)
class PlacesRequest:
    """Paths that host data names."""

    paths: list[str]
    marks: dict[str, str]
    """A text in each file by which it is known."""
    enter: list[str]
    """Paths that the host user enters."""


@dataclass(frozen=True)
class PreflightRequest(Request):
    """A machine before anything is done to it."""

    entry: ClassVar[str] = "machine.preflight"
    paths: list[str]
    """Mount points."""
    account: Optional[HostUser]
    agent: Optional[int]
    """The agent's uid."""
    space: list[str]
    """Directories."""
    places: PlacesRequest
    ids: tuple[int, ...] = ()
    """Numbers that may be taken for a host user, best first."""
    user: Optional[str] = None
    """The name of that user."""
    root: Optional[str] = None
    """The project root, where the agent's ids depend on the version that is checked out."""


@dataclass(frozen=True)
class RuntimeRequest(HostUser, Request):
    """The host user, who runs the programs, and names of packages."""

    entry: ClassVar[str] = "machine.runtime"
    engine: str
    """The distribution's Docker engine."""
    npm: str
    candidates: list[str]
    """Packages. The reply has the version of each that apt would install."""


@dataclass(frozen=True)
class AccountState:
    """The account of the host user, and others with its ids or its name."""

    ids: Optional[tuple[int, int]]
    """uid and gid of the user of that name."""
    home: Optional[str]
    home_exists: bool
    uid_user: Optional[str]
    """The name of the user that has the uid."""
    gid_group: Optional[str]
    """The name of the group that has the gid."""
    name_gid: Optional[int]
    """The gid of the group that has the user's name."""
    docker_group: bool
    in_docker: bool
    person: bool = False
    """Whether somebody can log in to it."""


@dataclass(frozen=True)
class Node:
    """The Node that the service would find."""

    path: str
    major: int


@dataclass(frozen=True)
class RuntimeState(Reply):
    """The programs of a machine, and its host user."""

    request = RuntimeRequest

    programs: dict[str, bool]
    """Whether git, docker, npm, apt-get and curl are there."""
    certificates: bool
    node: Optional[Node]
    engine: bool
    """Whether a Docker engine is installed, in whatever packaging."""
    docker_io: bool
    """Whether that is the distribution's; asked only where buildx is missing."""
    docker_runs: bool
    buildx: bool
    npm_package: bool
    """Whether npm is installed as a package of its own, as the distribution's is."""
    candidates: dict[str, str]
    """Versions that apt would install; empty if nothing is missing or apt has no lists yet."""
    account: AccountState
    unusable: list[str] = field(default_factory=list)
    """What the host user finds first in its PATH and cannot run."""


@dataclass(frozen=True)
class WriteFileRequest(Request):
    """A file to write. Standard input has its content."""

    entry: ClassVar[str] = "machine.write_file"
    path: str
    mode: str
    """In octal."""
    uid: int
    gid: int
    validate: list[str]
    """An argv that accepts the new file, which takes the place of {}; or none."""
    base64: bool = False
    """Whether the content is encoded so."""


@dataclass(frozen=True)
class TrustKeyRequest(Request):
    """A downloaded OpenPGP key."""

    entry: ClassVar[str] = "machine.trust_key"
    new: str
    """The downloaded file."""
    path: str
    fingerprint: str


@dataclass(frozen=True)
class InstallPnpmRequest(Request):
    """The pnpm that packageManager in a project's package.json names."""

    entry: ClassVar[str] = "machine.install_pnpm"
    version: Optional[str]
    """None before there is a checkout, in a dry run."""
    digest: Optional[str]
    """ALGORITHM.HEX; None where the project names none."""
    force: bool = False
    """Whether it replaces a pnpm that npm did not install, such as corepack's."""
    path: Optional[str] = None
    """PATH with the host user's Node first."""
