"""A line of a migration's plan: one part of a NanoClaw v1 and its disposition."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

Disposition = Literal["migrated", "needs_fix", "skipped"]
"""migrated: NanoClaw's own migration steps migrate it. needs_fix: they lose it, so this role fixes it up. skipped: it
stays in v1."""


@dataclass(frozen=True)
class PlanItem:
    """State what the migration does with a part of v1."""

    disposition: Disposition
    what: str
    why: str
    """Why it is skipped, or how NanoClaw's own steps lose it; empty for what is migrated."""
    of: tuple[str, ...]
    """The parts that it covers: each part of an install has its own name, and one disposition."""


def listed(names: Collection[str], most: int = 5) -> str:
    """Format names in parentheses, with a count for those after the first few."""
    shown = sorted(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return f"({', '.join(shown[:most])}{more})"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Format a number of things: `1 task`, `2 tasks`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def parts_with(items: Iterable[PlanItem], disposition: Disposition) -> set[str]:
    """Return the parts that have this disposition."""
    return {part for item in items if item.disposition == disposition for part in item.of}
