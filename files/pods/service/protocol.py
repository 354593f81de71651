"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

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
