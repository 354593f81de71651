"""What travels, and what lies on a machine, of the skills that were applied to a checkout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from files.pods.common.protocol import HostUser, Request


@dataclass(frozen=True)
class WrittenFile:
    """A file that a skill has written, changed or removed."""

    after: Optional[str]
    """The SHA-256 of its content afterwards; None for one that is gone."""
    differed: bool = False
    """Whether it differed from HEAD before."""
    before: Optional[tuple[int, str]] = None
    """Then its mode and its blob; None for one that was missing."""


@dataclass(frozen=True)
class SkillRecord:
    """The skills that were applied last."""

    commit: str
    gateway: Optional[str]
    server: Optional[str]
    """The address that the gateway was applied with."""
    channels: list[str]
    files: dict[str, WrittenFile]


@dataclass(frozen=True)
class AppliedSkills:
    """What the role has applied to a checkout, as its record says."""

    commit: str
    gateway: Optional[str]
    server: Optional[str]
    channels: list[str]
    complete: bool
    """Whether all files that it wrote are there, and nothing is half applied."""


@dataclass(frozen=True)
class SkillsRequest(HostUser, Request):
    """The gateway and the channels of a checkout. Standard input may have the token of the gateway's server."""

    entry: ClassVar[str] = "source.apply_skills"
    root: str
    """The project root, or a staged one."""
    lock: str
    """The run's lock file."""
    gateway: Optional[str]
    """Its kind; None for no gateway, or for a version without the contract of one."""
    server: Optional[str]
    """The address of a server of that kind that runs."""
    channels: list[str]
