"""Long scenarios share CI's time: the seed chooses which run, and over time all do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e import sample
from tests.e2e.fleet import PROJECT
from tests.e2e.sample import ALL, BUDGET, SEED, not_in_sample, sample_line, seed

COLLECT = """
import json, sys, pytest

class Collected:
    def pytest_collection_finish(self, session):
        marks = {item.nodeid: item.get_closest_marker("sampled") for item in session.items}
        json.dump({name: mark and mark.args[0] for name, mark in marks.items()}, sys.stderr)

sys.exit(pytest.main(["--collect-only", "-q", "tests/e2e"], plugins=[Collected()]))
"""

ALWAYS = {
    "tests/e2e/test_1_incident.py::test_an_unprovisioned_root_host_shows_the_incident",
    "tests/e2e/test_1_incident.py::test_one_run_ends_the_incident",
    "tests/e2e/test_2_idempotence.py::test_second_run_changes_nothing",
    "tests/e2e/test_2_idempotence.py::test_dry_run_on_finished_machines",
    "tests/e2e/test_5_bad_machines.py::test_every_bad_machine_has_a_round",
}


@dataclass(frozen=True)
class Item:
    """A scenario as pytest collects it."""

    nodeid: str
    seconds: int | None

    def get_closest_marker(self, name: str) -> Any:
        return SimpleNamespace(args=(self.seconds,)) if name == "sampled" and self.seconds is not None else None


def chosen(items: list[Any], number: int) -> list[Any]:
    """The scenarios that run with a seed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(ALL, raising=False)
        patch.setenv(SEED, str(number))
        left_out = not_in_sample(items)
    return [item for item in items if item not in left_out]


@pytest.fixture(scope="module")
def scenarios() -> list[Item]:
    """Those of tests/e2e, with the seconds of their marks."""
    argv = [sys.executable, "-c", COLLECT]
    env = os.environ | {ALL: "all"}
    done = subprocess.run(argv, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120, check=True)
    return [Item(name, seconds) for name, seconds in json.loads(done.stderr.splitlines()[-1]).items()]


items = st.lists(st.integers(1, BUDGET) | st.none(), min_size=1, max_size=30).map(
    lambda each: [Item(f"tests/e2e/test_{number}", seconds) for number, seconds in enumerate(each)]
)


@given(items, st.integers(0, 2**32 - 1))
def test_sample_fills_its_budget_and_keeps_within_it(items: list[Item], number: int) -> None:
    runs = chosen(items, number)
    spent = sum(item.seconds or 0 for item in runs)
    assert spent <= BUDGET
    assert all(spent + (item.seconds or 0) > BUDGET for item in items if item not in runs)


@given(items, st.integers(0, 2**32 - 1))
def test_seed_makes_one_sample_in_any_collection_order(items: list[Item], number: int) -> None:
    assert set(chosen(items, number)) == set(chosen(items[::-1], number))


def test_every_scenario_runs_with_one_of_the_first_seeds(scenarios: list[Item]) -> None:
    tried = [set(chosen(scenarios, number)) for number in range(200)]
    assert [item.nodeid for item in scenarios if not any(item in runs for runs in tried)] == []
    assert len({frozenset(runs) for runs in tried}) > 150


def test_main_scenarios_run_with_every_seed(scenarios: list[Item]) -> None:
    assert {item.nodeid for item in scenarios if item.seconds is None} == ALWAYS
    assert all({item.nodeid for item in chosen(scenarios, number)} >= ALWAYS for number in range(20))


def test_soak_runs_every_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALL, "all")
    both: list[Any] = [Item("a", BUDGET), Item("b", BUDGET)]
    assert not_in_sample(both) == []


def test_seed_is_the_commit_and_not_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEED, raising=False)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    for day in (3, 4):
        monkeypatch.setattr("time.time", lambda day=day: 86400.0 * day)
        assert seed() == int(head[:8], 16)


def test_printed_seed_repeats_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEED, raising=False)
    printed = sample_line()
    before = seed()
    name, _, value = printed.partition(", sample ")[2].partition("=")
    monkeypatch.setattr(sample, "commit", lambda: "f" * 40)
    assert seed() != before
    monkeypatch.setenv(name, value)
    assert seed() == before
