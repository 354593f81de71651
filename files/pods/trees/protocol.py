"""Requests and replies of the entries of this room."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, Optional

from files.pods.common.protocol import Reply, Request


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


@dataclass(frozen=True)
class Verdict:
    """What an entry of a tree needs, or why it is left alone."""

    kind: Literal["right", "chown", "kept", "foreign", "special", "linked", "elsewhere", "deep", "failed"]
    """kept: chown(2) reports success and has no effect."""
    ids: Optional[tuple[int, int]] = None
    """The owner of a foreign entry; None where one verdict stands for many owners."""
    error: str = ""
    """The errno of a failure."""

    @property
    def owner(self) -> str:
        """Return the owner of a foreign entry, as text."""
        return ":".join(map(str, self.ids)) if self.ids else "others"

    def __str__(self) -> str:
        return f"foreign {self.owner}" if self.kind == "foreign" else self.error or self.kind


RIGHT, CHOWN, KEPT = Verdict("right"), Verdict("chown"), Verdict("kept")
SPECIAL, LINKED = Verdict("special"), Verdict("linked")
ELSEWHERE, DEEP, FOREIGN_OTHERS = Verdict("elsewhere"), Verdict("deep"), Verdict("foreign")


@dataclass(frozen=True)
class Tally:
    """The entries of a tree with one verdict."""

    verdict: Verdict
    entries: int
    names: list[str] = field(default_factory=list)
    """Of some of them; none of those that are right."""


@dataclass(frozen=True)
class TreeReport:
    """A scan or a chown of one tree."""

    path: str
    state: Literal["there", "absent", "unmounted", "unreadable", "nobody", "forbidden", "unfinished"]
    entries: int = 0
    tallies: list[Tally] = field(default_factory=list)
    seconds: float = 0
    names: Optional[str] = None
    """The entries to chown, packed for a later request; None where they are too many for one."""

    def number(self, verdict: Verdict) -> int:
        """Return how many entries have a verdict."""
        return sum(it.entries for it in self.tallies if it.verdict == verdict)


@dataclass(frozen=True)
class TreesReply(Reply):
    """The reports of all trees of the request, in its order."""

    request = TreesRequest

    trees: list[TreeReport]
