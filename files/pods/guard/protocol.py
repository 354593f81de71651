"""What the entries of this room are asked, and their replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import Reply, Request


@dataclass(frozen=True)
class WatchedTreeRequest:
    """A tree with its owner, and patterns of the directories that the host process writes in."""

    path: str
    within: str
    """A directory above it, below which no link is followed and no other file system entered."""
    uid: int
    gid: int
    uids: list[int]
    gids: list[int]
    """Ids that may be replaced."""
    hosts: list[str]
    """Directories that the host process alone writes in."""
    shared: list[str]
    """Directories that agents write in as well."""


@dataclass(frozen=True)
class GuardRequest(Request):
    """Trees to watch."""

    entry: ClassVar[str] = "guard.main"
    sweep: float
    """Seconds between sweeps."""
    flood: int
    """Events a second that one session may cause."""
    trees: list[WatchedTreeRequest]
    version: str = ""
    """A digest of the unit: systemd restarts nothing when only the unit changes."""


@dataclass(frozen=True)
class GuardStateRequest(Request):
    """A guard."""

    entry: ClassVar[str] = "guard.state"
    unit: str
    unit_file: str
    program: str
    """The path of the program."""
    prefix: str
    """How the names of all guards' units begin."""


@dataclass(frozen=True)
class GuardState(Reply):
    """The current state of the guard on a machine."""

    request = GuardStateRequest

    program: Optional[str]
    """SHA-256 of the program."""
    older: list[str]
    """Paths of other versions of the program."""
    unit: Optional[str]
    """The text of the unit."""
    enabled: bool
    active: bool
    needs_reload: bool
    """Whether the unit changed after systemd read it (NeedDaemonReload)."""
    running: list[str]
    """The command line of the main process."""
    others: list[str]
    """Guards' units of other project roots."""
