"""The request of an audit, and its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import Reply, Request


@dataclass(frozen=True)
class Finding:
    """A thing of v1 that is missing or different in v2, or skipped."""

    what: str
    """Kind and name, printable: `task morning`, `file groups/main/notes.md`."""
    why: str


@dataclass(frozen=True)
class Homes:
    """Two homes with a mount allow-list."""

    v1_home: str
    user: str
    """v2's host user."""
    home: Optional[str] = None
    """The user's home, if it is another one than NSS says."""


@dataclass(frozen=True)
class AuditRequest(Request):
    """A v1, the v2 that was made of it, and the snapshot, which has cron expressions for v1's intervals."""

    entry: ClassVar[str] = "v1.audit.main"
    v1: str
    root: str
    """v2's project root."""
    snapshot: str
    agent: tuple[int, int]
    host: tuple[int, int]
    deep: bool
    """Whether contents are compared, besides sizes and times."""
    seconds: int
    left: list[Finding]
    """What is known to be skipped."""
    env_set: list[str]
    """Names in .env that the role sets."""
    lists: Optional[Homes]
    must: bool = False
    """Whether the audit fails if something is lost."""


@dataclass(frozen=True)
class Count:
    """How many things of a kind v1 has, and how many of these are right in v2."""

    v1: int
    v2: int


@dataclass(frozen=True)
class Unlisted:
    """How many findings there are beyond those that are listed."""

    lost: int
    left: int


@dataclass(frozen=True)
class AuditReport(Reply):
    """Nothing was lost if `lost` is empty."""

    request = AuditRequest

    counts: dict[str, Count]
    """By kind: groups, tasks, conversations, memories, files, auth, env, skills."""
    lost: list[Finding]
    left: list[Finding]
    """What is skipped by rule, or by request."""
    more: Unlisted
    digest: str
    """Of the whole of v1: the same as long as no byte, owner, mode or time changes."""
