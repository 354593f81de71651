"""What `files/pods/v1/audit/main.py` says of a migration: the types that its answer becomes."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Count:
    """How many of a kind v1 has, and how many of these v2 has as they should be."""

    v1: int
    v2: int


@dataclass(frozen=True)
class Named:
    """A thing of v1 that v2 does not have as it should."""

    what: str
    """Kind and name, printable: `task morning`, `file groups/main/notes.md`."""
    why: str


@dataclass(frozen=True)
class More:
    """How many are not listed, since there are too many."""

    lost: int
    left: int


@dataclass(frozen=True)
class Account:
    """The account of a migration. Nothing was lost where `lost` is empty."""

    counts: dict[str, Count]
    """By kind: groups, tasks, conversations, memories, files, auth, env, skills."""
    lost: list[Named]
    left: list[Named]
    """What is not carried over by rule, or because the caller said so."""
    more: More
    digest: str
    """Of the whole of v1: the same as long as nothing of it changes."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Account:
        """The account that a program printed; pydantic.ValidationError, a ValueError, where it is none."""
        return TypeAdapter(cls).validate_json(text)
