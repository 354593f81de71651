"""Requests about a change of version, which has a way back at every moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import HostUser, Request


@dataclass(frozen=True)
class BootRollbackRequest(Request):
    """A unit that rolls an interrupted switch back at the next boot, before NanoClaw's service starts."""

    entry: ClassVar[str] = "transition.boot_rollback"
    unit: str
    """The name of NanoClaw's unit."""
    name: str
    """That of the unit that rolls back."""
    text: str
    drop_in: str
    """The text of a drop-in for NanoClaw's unit, with which it waits."""
    marker: str
    """The file that commits; one of an earlier change of version is removed."""


@dataclass(frozen=True)
class DrainRequest(HostUser, Request):
    """A service to stop, and its agents once they are idle."""

    entry: ClassVar[str] = "transition.drain"
    unit: str
    install: str
    """The label of its agents' containers."""
    seconds: int
    """How long agents may finish what they work at."""
    trying: str
    """A file in /run that exists while a switch is under way: a crash removes it."""
    ran: str
    """A file that exists if the service ran when it was stopped."""


@dataclass(frozen=True)
class VersionRollbackRequest(HostUser, Request):
    """A change of version that is rolled back."""

    entry: ClassVar[str] = "transition.roll_back_version"
    unit: str
    install: str
    """The label of its agents' containers."""
    root: str
    lock: str
    before: str
    """The commit of the old version."""
    commit: str
    version: str
    marker: str
    trying: str
    ran: str
    """A file that exists if the old version ran when it was stopped: only then a start that fails is a failure."""
    bad: str
    """The file that counts the failures of each commit."""
    image: Optional[str] = None
    """The name of the agent image, if the switch changed it."""
    record: str = ""
    """The path of that image's record."""
