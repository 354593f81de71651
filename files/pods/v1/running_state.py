"""Services and processes that run, or may run, a NanoClaw v1: a part of the reply of v1.inspect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional


@dataclass(frozen=True)
class Unit:
    """A service that runs v1."""

    manager: Literal["system", "user"]
    name: str
    file: str
    uid: Optional[int]
    """Its user; None for a user that this machine does not know."""
    home: Optional[str]
    """HOME in its environment, where its manager sets one."""
    enabled: bool
    active: str
    """ActiveState of systemctl(1), unknown, or "no manager" where the user has none now."""
    doubt: Optional[str] = None
    """Why its HOME is known only while it runs."""
    reload: bool = False
    """Whether a file of it changed since its manager read it."""


@dataclass(frozen=True)
class Process:
    """A process that runs v1, outside of containers."""

    pid: int
    uid: int
    directory: str
    manager: Literal["system", "user"]
    unit: Optional[str]
    """The service that it belongs to."""
    of: Optional[int] = None
    """The user of its manager, where that is not the system's."""

    def is_of(self, unit: Unit) -> bool:
        """Return whether it belongs to a service."""
        of = unit.uid if unit.manager == "user" else None
        return (self.manager, self.unit, self.of) == (unit.manager, unit.name, of)


@dataclass(frozen=True)
class Unasked:
    """A service manager that does not say which services it has."""

    uid: Optional[int]
    """Its user; None for the system's."""
    why: str


@dataclass(frozen=True)
class PidFile:
    """nanoclaw.pid of start-nanoclaw.sh."""

    file: str
    pid: Optional[int]


@dataclass(frozen=True)
class Running:
    """What runs an install."""

    units: list[Unit]
    processes: list[Process]
    pid_file: Optional[PidFile]
    containers: Optional[list[str]]
    """Running agents; None if Docker did not answer."""
    unasked: list[Unasked]
    """Service managers of users that may run it, which did not answer."""
    strangers: list[str]
    """Units that name it, of users that may not write it."""
