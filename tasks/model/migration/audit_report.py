"""The report of the audit of a migration, as `files/pods/v1/audit/main.py` prints it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Count:
    """Count the things of a kind in v1, and how many of these are right in v2."""

    v1: int
    v2: int


@dataclass(frozen=True)
class Finding:
    """Name a thing of v1 that is missing or different in v2."""

    what: str
    """Kind and name, printable: `task morning`, `file groups/main/notes.md`."""
    why: str


@dataclass(frozen=True)
class Unlisted:
    """Count findings beyond those that are listed."""

    lost: int
    left: int


@dataclass(frozen=True)
class AuditReport:
    """Compare v1 with v2. Nothing was lost if `lost` is empty."""

    counts: dict[str, Count]
    """By kind: groups, tasks, conversations, memories, files, auth, env, skills."""
    lost: list[Finding]
    left: list[Finding]
    """What is skipped by rule, or by request."""
    more: Unlisted
    digest: str
    """Of the whole of v1: the same as long as no byte, owner, mode or time changes."""

    @classmethod
    def from_json(cls, text: str | bytes) -> AuditReport:
        """Parse a report; raise pydantic.ValidationError, a ValueError, for anything else."""
        return TypeAdapter(cls).validate_json(text)
