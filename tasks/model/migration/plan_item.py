"""What becomes of one part of a NanoClaw v1."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

Fate = Literal["carried", "attend", "left"]
"""carried: NanoClaw's own migration steps carry it over. attend: they lose it, so that the migration has to see to it.
left: it is not carried over."""


@dataclass(frozen=True)
class Item:
    """A line of a plan."""

    fate: Fate
    what: str
    why: str
    """Why it is left, or how NanoClaw's own steps lose it; empty for what is carried."""
    of: tuple[str, ...]
    """What it covers: each part of an install has a name of its own, and one fate."""


def listed(names: Collection[str], most: int = 5) -> str:
    """Names in parentheses, the first of many."""
    shown = sorted(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return f"({', '.join(shown[:most])}{more})"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number of things: `1 task`, `2 tasks`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def covered(items: Iterable[Item], fate: Fate) -> set[str]:
    """The parts that have this fate."""
    return {part for item in items if item.fate == fate for part in item.of}
