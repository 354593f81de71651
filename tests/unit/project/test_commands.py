"""The commands that programs run on machines are those that were meant."""

from __future__ import annotations

import pytest

from tests.commands import commands, table, written


@pytest.mark.parametrize("file", sorted({*written(), *table()}))
def test_commands_of_a_file_are_those_of_the_table(file: str) -> None:
    """Where a change is meant, run `make docs`, read the diff of the table, and commit it."""
    assert written().get(file) == table().get(file), "run make docs"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("run(['systemctl', 'stop', unit], timeout=60)", ["systemctl stop {}"]),
        ("systemctl('show', '--value', f'--property={name}', unit)", ["show --value --property={} {}"]),
        ("options = ('-i', '-o', text, *some)", ["-i -o {} {*}"]),
        ("docker = shutil.which('docker')\nunits = ['docker.service']", []),
        ("'-'.join(words)\nline.startswith('-x')\nline.partition('-')", []),
    ],
)
def test_commands_are_listed_wherever_a_source_states_one(source: str, expected: list[str]) -> None:
    assert commands(source) == expected
