"""What CONTRIBUTING.md says of the files that a change touches."""

from __future__ import annotations

import re

import pytest

from tests.docs import PROJECT

TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MOST = {"Add a setting": 6, "Add an operation": 7}
"""Files of the role and of its tests: a newcomer has to find each."""


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


def files(rows: str) -> list[str]:
    """The files of the first column of a table; of alternatives, the first."""
    cells = re.findall(r"^\| (`[^|]*) \|", rows, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)[: 1 if " or " in cell else None]]


@pytest.mark.parametrize("title", MOST)
def test_a_change_touches_few_files(title: str) -> None:
    tables = [files(part) for part in section(title).split("\n\n") if part.strip().startswith("| file |")]
    assert tables and all(0 < len(table) <= MOST[title] for table in tables)


def test_the_files_that_a_change_touches_exist() -> None:
    named = {name for name in re.findall(r"`([\w./-]+)`", TEXT) if "/" in name and not name.startswith(".venv")}
    assert len(named) > 20
    for name in named:
        fixed = re.split(r"ROOM|test_NAME|NAME", name)[0].rstrip("/")
        assert (PROJECT / fixed).exists(), name
