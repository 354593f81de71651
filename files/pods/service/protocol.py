"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Optional

from files.pods.common.protocol import HostUser, Request


@dataclass(frozen=True)
class EnvStateRequest(Request):
    """Entries of .env. Standard input has the key of the run, in hexadecimal."""

    entry: ClassVar[str] = "service.env_state"
    root: str
    names: list[str]
    places: list[str]


@dataclass(frozen=True)
class StateRequest(HostUser, Request):
    """The service of a project root."""

    entry: ClassVar[str] = "service.state"
    unit: str
    root: str
    texts: list[str]
    logs: list[str]
    inputs: list[str]
    started: str


@dataclass(frozen=True)
class ServingStateRequest(HostUser, Request):
    """A service that should answer."""

    entry: ClassVar[str] = "service.serving_state"
    unit: str
    root: str
    inputs: list[str]
    started: str
    errors: str
    """The path of its error log."""
    onecli: Optional[str]
    """ONECLI_URL of the service's environment."""


@dataclass(frozen=True)
class InstallsRequest(Request):
    """The project root of the plan, and the host user."""

    entry: ClassVar[str] = "service.v2_installs"
    root: str
    uid: int


@dataclass(frozen=True)
class SetEnvRequest(Request):
    """Entries of .env to set. Standard input has them with their values."""

    entry: ClassVar[str] = "service.set_env"
    root: str
    owner: Optional[tuple[int, int]]
    """None where the server decides who owns a file."""


LogStep = tuple[Literal["directory", "file", "owner"], str]
"""What to create, or a path to chown."""


@dataclass(frozen=True)
class MakeLogsRequest(Request):
    """Logs of a service."""

    entry: ClassVar[str] = "service.make_logs"
    root: str
    steps: list[LogStep]
    """The directory comes before what is in it."""
    owner: Optional[tuple[int, int]]
    """None where the server decides who owns them."""


@dataclass(frozen=True)
class InstallUnitsRequest(HostUser, Request):
    """A unit, and the user that it runs as. Standard input has the texts of its files by path."""

    entry: ClassVar[str] = "service.install_units"
    unit: str


@dataclass(frozen=True)
class AdoptUnitsRequest(Request):
    """Services of a user's manager."""

    entry: ClassVar[str] = "service.adopt_units"
    uid: int
    names: list[str]


@dataclass(frozen=True)
class StartRequest(HostUser, Request):
    """A service that must run."""

    entry: ClassVar[str] = "service.start"
    unit: str
    restart: bool
    root: str
    log: str
    errors: str
    """The path of its error log."""
    install: str
    """The label of its agents' containers."""
