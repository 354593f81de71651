"""Escape text that others chose for Markdown (CommonMark 0.31, GFM tables)."""

import re
from collections.abc import Iterable, Sequence

from tasks.model.sanitize import printable


def plain(text: str) -> str:
    """Escape text on one line; a bare address may still become a link."""
    return re.sub(r"([\\`*_\[\]<>|&~#])", r"\\\1", printable(" ".join(text.split())))


def code(text: str) -> str:
    """Format a name as code on one line, between more backticks than its longest run."""
    text = printable(" ".join(text.split()))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}" if text else "(nothing)"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
