"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import Request


@dataclass(frozen=True)
class TreeRequest:
    """A directory that belongs to an owner with all that is in it."""

    path: str
    within: str
    """A directory above it, below which no link is followed and no other file system entered."""
    mount: Optional[str]
    """A mount point that has to be there."""
    anchor: Optional[str]
    """The root of the NFS mount."""
    uid: int
    gid: int
    uids: list[int]
    gids: list[int]
    """Ids that may be replaced."""
    sockets: bool = False
    """Whether sockets are chowned too."""
    names: Optional[str] = None
    """Entries that an earlier look has named."""


@dataclass(frozen=True)
class TreesRequest(Request):
    """Trees to look at, or to chown."""

    entry: ClassVar[str] = "trees.main"
    apply: bool
    trees: list[TreeRequest]
    seconds: Optional[float] = None
