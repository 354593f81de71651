"""The options of pyinfra's command line, as the role reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyinfra
import pytest

from tasks import command_line
from tasks.command_line import fleet_directory, limit_problems, only_reads


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options of a run, to be filled in."""
    values: dict[str, Any] = {}
    monkeypatch.setattr(command_line, "options", lambda: values)
    return values


class Inventory:
    """Machines and groups."""

    def __init__(self, *names: str, groups: tuple[str, ...] = ()) -> None:
        self.groups, self._hosts = groups, [SimpleNamespace(name=name) for name in names]

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Any:
        return iter(self._hosts)


FLEET: Any = Inventory("oslo", "bergen.lan", groups=("nfs_servers",))


def test_a_library_has_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyinfra, "is_cli", False)
    monkeypatch.setattr(sys, "argv", ["pyinfra", "inventory.py", "deploy.py", "--dry"])
    assert command_line.options.__wrapped__() == {}


@pytest.mark.parametrize("option", ["dry", "debug_facts", "debug_operations"])
def test_a_run_that_ends_before_it_changes_anything_only_reads(option: str, options: dict[str, Any]) -> None:
    assert only_reads() is False
    options.update(dry=False, debug_facts=False, debug_operations=False, yes=True)
    assert only_reads() is False
    options[option] = True
    assert only_reads() is True


def test_a_fleets_files_lie_beside_its_inventory(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/inventory.py").touch()
    monkeypatch.chdir(tmp_path / "here")
    assert fleet_directory() == tmp_path / "here"
    options["inventory"] = "../fleet/inventory.py"
    assert fleet_directory() == tmp_path / "fleet"
    options["inventory"] = "oslo,bergen"
    assert fleet_directory() == tmp_path / "here", "no such file: it is a list of machines"


def test_an_inventory_without_machines_is_a_problem(options: dict[str, Any]) -> None:
    options["inventory"] = "empty.py"
    nobody: Any = Inventory()
    (problem,) = limit_problems(nobody)
    assert problem == "the inventory empty.py has no machine: see inventory.py of the role for an example"


@pytest.mark.parametrize(
    ("limit", "exclude"),
    [
        ((), ()),
        (None, None),
        (("oslo",), ()),
        (("bergen*",), ("oslo",)),
        (("nfs_servers",), ()),
        (("*.lan", "oslo"), ()),
    ],
)
def test_a_limit_that_matches_is_none(limit: Any, exclude: Any, options: dict[str, Any]) -> None:
    options.update(limit=limit, exclude=exclude)
    assert limit_problems(FLEET, ["oslo"]) == limit_problems(FLEET) == []


@pytest.mark.parametrize("option", ["limit", "exclude"])
@pytest.mark.parametrize(
    ("pattern", "way_out"),
    [
        ("olso", "pyinfra inventory.py debug-inventory lists the machines and groups"),
        ("nfs_*", "pyinfra inventory.py debug-inventory lists the machines and groups"),
        ("oslo,", "pyinfra inventory.py debug-inventory lists the machines and groups"),
        ("oslo, bergen.lan,", "write --{option} oslo --{option} bergen.lan"),
    ],
)
def test_a_pattern_that_misses_is_named_with_what_to_write(
    option: str, pattern: str, way_out: str, options: dict[str, Any]
) -> None:
    options.update({"limit": (), "exclude": (), option: ("oslo", pattern)})
    text = f"--{option} {pattern} matches no machine and no group: {way_out.format(option=option)}"
    assert limit_problems(FLEET, []) == [text]


def test_a_limit_that_leaves_nobody_is_a_problem(options: dict[str, Any]) -> None:
    options.update(limit=("oslo",), exclude=("oslo",))
    assert limit_problems(FLEET, iter([])) == ["--limit and --exclude leave no machine"]
