"""The limits, deadlines, modes and names of programs and tasks are those that were meant."""

from __future__ import annotations

import pytest

from tests.constants import constants, table, written


@pytest.mark.parametrize("file", sorted({*written(), *table()}))
def test_constants_of_a_file_are_those_of_the_table(file: str) -> None:
    """Where a change is meant, run `make docs`, read the diff of the table, and commit it."""
    assert written().get(file) == table().get(file), "run make docs"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("MAX_BYTES = 64 << 20", {"MAX_BYTES": "64 << 20"}),
        ("SOON, LATE = 1, 2.5", {"SOON, LATE": "1, 2.5"}),
        ("class Step(Enum):\n    DB = 'upstream-db'", {"DB": "'upstream-db'"}),
        ("NAMES: tuple[str, ...] = ('a', 'b')", {"NAMES": "('a', 'b')"}),
        ("run(argv, timeout=60)\nrun(argv, timeout=5)", {"timeout": "5; 60"}),
        ("run(argv, timeout=2 * PATIENCE)", {"timeout": "2 * PATIENCE"}),
        ("os.mkdir(path, 0o700)\nline.split('=', 1)\nsleep(0.5)", {"argument": "0.5; 0o700"}),
        ("def ask(path, seconds=30, *, tries=2, deep=True): pass", {"seconds": "30", "tries": "2"}),
        ("names = lines[1:3]\nready = run(argv, check=True)", {}),
    ],
)
def test_constants_are_listed_wherever_a_source_states_one(source: str, expected: dict[str, str]) -> None:
    assert constants(source) == expected
