"""Requests and replies of the entries of this room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Optional

from files.pods.common.protocol import HostUser, Place, Reply, Request


@dataclass(frozen=True)
class EnvStateRequest(Request):
    """Entries of .env. Standard input has the key of the run, in hexadecimal."""

    entry: ClassVar[str] = "service.env_state"
    root: str
    names: list[str]
    places: list[str]


@dataclass(frozen=True)
class EnvState(Reply):
    """What a machine says of its .env and of NanoClaw's copy of it.

    `digests`: of each entry asked for that .env has, with the key that this run sent by standard input.
    """

    request = EnvStateRequest

    places: dict[str, Place]
    digests: dict[str, str]


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
class Health:
    """What OneCLI answered to GET /v1/health."""

    place: str
    status: Optional[int]
    error: str


@dataclass(frozen=True)
class Account:
    """The account of the host process, as the machine knows it."""

    uid: int
    gid: int
    home: str
    group: str


@dataclass(frozen=True)
class UnitState:
    """What systemd says of the unit; `reload`: a file of it or of its retry unit changed since systemd read it."""

    load: str
    active: str
    sub: str
    enabled: str
    reload: bool


@dataclass(frozen=True)
class Rival:
    """Something else that runs, or would run, this project root."""

    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Serving:
    """Whether the service answers on its socket, as `files/pods/service/serving.py` says."""

    answers: bool
    why: str
    """Why it does not; empty where it does."""


@dataclass(frozen=True)
class ServiceState(Reply):
    """What a machine says of its NanoClaw service."""

    request = StateRequest

    systemd: int
    unit: UnitState
    files: dict[str, Optional[str]]
    account: Optional[Account]
    node: Optional[str]
    logs: dict[str, Place]
    outdated: Optional[list[str]]
    """The inputs that changed since the service started; None where no start has noted them."""
    rivals: list[Rival]
    serving: Serving


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
class ServingState(Reply):
    """What `files/pods/service/serving_state.py` says of a service."""

    request = ServingStateRequest

    answers: bool
    why: str
    """Why it does not answer."""
    output: list[str]
    """The end of its error log, where it does not."""
    outdated: Optional[list[str]]
    """The inputs that changed since the service started; None where no start has noted them."""
    commit: Optional[str]
    """What is checked out."""
    built: Optional[str]
    """The commit that was built last."""
    health: Optional[Health]
    """What OneCLI answered, where the checkout needs its /v1 and ONECLI_URL is set."""


@dataclass(frozen=True)
class InstallsRequest(Request):
    """The project root of the plan, and the host user."""

    entry: ClassVar[str] = "service.v2_installs"
    root: str
    uid: int


@dataclass(frozen=True)
class Service:
    """A service that runs a project root, or would."""

    manager: Literal["system", "user"]
    name: str
    file: str
    uid: Optional[int]
    """The user that it runs as; None for one that this machine does not know."""
    active: str


@dataclass(frozen=True)
class Installed:
    """A NanoClaw v2."""

    root: str
    uid: int
    """The owner of its project root."""
    user: Optional[str]
    ours: bool
    """Whether the role runs it."""
    units: list[Service]
    loose: list[int]
    """Processes of it outside of these services."""


@dataclass(frozen=True)
class Installs(Reply):
    """What a machine has of NanoClaw v2."""

    request = InstallsRequest

    installs: list[Installed]


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
