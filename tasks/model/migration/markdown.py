"""Text that others chose, as Markdown that shows it and obeys nothing of it (CommonMark 0.31, GFM tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tasks.model.sanitize import printable


def plain(text: str) -> str:
    """Text whose characters mean nothing, on one line; a bare address may still be shown as a link."""
    return re.sub(r"([\\`*_\[\]<>|&~#])", r"\\\1", printable(" ".join(text.split())))


def code(text: str) -> str:
    """A name as it is, on one line: code between more backticks than it has in a row itself."""
    text = printable(" ".join(text.split()))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}" if text else "(nothing)"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table of cells that are Markdown themselves."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
