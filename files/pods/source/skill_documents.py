"""What travels, and what lies on a machine, of the skills that were applied to a checkout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


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
