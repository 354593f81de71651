"""Host data and what it is refused for, as data: tests/settings_cases/*.yaml.

A case names what differs from a small fleet that is right. Its `problems` are all that is reported, in that order, as
an operator sees them; `…` stands for any text. A case without `problems` is accepted.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.model.fleet.plan import FleetError, Machine
from tasks.model.fleet.plan_fleet import plan_fleet

CASES = Path(__file__).parents[2] / "settings_cases"
FLEET: dict[str, dict[str, Any]] = {
    "nfs1": {"groups": ["nfs_servers"], "ssh_hostname": "10.0.0.10"},
    "a": {"groups": ["nanoclaw_hosts"], "ssh_hostname": "10.0.0.11"},
}


def read_cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['case']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def machines(case: dict[str, Any]) -> list[Machine]:
    """The fleet of a case: `only` leaves out what the case does not name."""
    stated = {name: data for name, data in case.items() if name not in ("case", "problems", "only")}
    fleet = {} if case.get("only") else FLEET
    merged = {name: {**fleet.get(name, {}), **stated.get(name, {})} for name in [*fleet, *stated]}
    return [
        Machine(name, tuple(data["groups"]), {key: value for key, value in data.items() if key != "groups"})
        for name, data in merged.items()
    ]


def reported(case: dict[str, Any]) -> list[str]:
    try:
        plan_fleet(machines(case))
    except FleetError as error:
        return str(error).split("\n")
    return []


@pytest.mark.parametrize("case", read_cases())
def test_exactly_these_problems_are_reported(case: dict[str, Any]) -> None:
    expected = case.get("problems", [])
    got = reported(case)
    patterns = [".*".join(re.escape(part) for part in text.split("…")) for text in expected]
    assert len(got) == len(expected), got
    for pattern, text in zip(patterns, got, strict=True):
        assert re.fullmatch(pattern, text), (pattern, text)
    assert not any("HUSH" in text for text in got)


def test_there_are_many_cases_and_each_has_a_name_of_its_own() -> None:
    names = [case.id for case in read_cases()]
    assert len(names) == len(set(names))
    assert sum(bool(case.values[0].get("problems")) for case in read_cases()) >= 150
