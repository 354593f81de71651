"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from files.pods.common.protocol import Request


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
