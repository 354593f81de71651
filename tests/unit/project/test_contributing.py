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
    """The files of the first column of tables."""
    return [
        name for row in re.findall(r"^\| (`[^|]*) \|", rows, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    ]


@pytest.mark.parametrize("title", MOST)
def test_a_change_touches_few_files(title: str) -> None:
    assert 0 < len(files(section(title))) <= MOST[title]


def test_the_files_that_a_change_touches_exist() -> None:
    named = {name for name in re.findall(r"`([\w./-]+)`", TEXT) if "/" in name and not name.startswith(".venv")}
    assert len(named) > 20
    for name in named:
        fixed = re.split(r"ROOM|test_NAME|NAME", name)[0].rstrip("/")
        assert (PROJECT / fixed).exists(), name
