"""Services and processes that run, or may run, a NanoClaw v1: a part of `files/pods/v1/inspect.py`'s reply."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Unit:
    """A service that runs v1."""

    manager: Literal["system", "user"]
    name: str
    file: str
    uid: int | None
    """Its user; None for a user that this machine does not know."""
    home: str | None
    """HOME in its environment, where its manager sets one."""
    enabled: bool
    active: str
    """ActiveState of systemctl(1), unknown, or "no manager" where the user has none now."""
    doubt: str | None = None
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
    unit: str | None
    """The service that it belongs to."""
    of: int | None = None
    """The user of its manager, where that is not the system's."""

    def is_of(self, unit: Unit) -> bool:
        """Return whether it belongs to a service."""
        of = unit.uid if unit.manager == "user" else None
        return (self.manager, self.unit, self.of) == (unit.manager, unit.name, of)


@dataclass(frozen=True)
class Unasked:
    """A service manager that does not say which services it has."""

    uid: int | None
    """Its user; None for the system's."""
    why: str


@dataclass(frozen=True)
class PidFile:
    """nanoclaw.pid of start-nanoclaw.sh."""

    file: str
    pid: int | None
