"""Scenarios that are alike take turns: none is forgotten."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e import sample
from tests.e2e.sample import ALL, SEED, described, not_in_sample, seed


def item(function: str, every: int | None, first: int = 0) -> Any:
    mark = None if every is None else SimpleNamespace(args=(every, first))
    return SimpleNamespace(name=f"{function}[x]", originalname=function, get_closest_marker=lambda _name: mark)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 4), st.integers(0, 10**6)
)
def test_each_scenario_has_its_turn_and_others_their_own(sizes: list[int], every: int, first: int, number: int) -> None:
    items = [item(f"test_{index}", every, first) for index, size in enumerate(sizes) for _ in range(size)]
    always = item("test_always", None)
    turns = {id(each): 0 for each in items}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(ALL, raising=False)
        for later in range(every):
            patch.setenv(SEED, str(number + later))
            left_out = not_in_sample([*items, always])
            assert always not in left_out
            for each in items:
                turns[id(each)] += each not in left_out
    assert set(turns.values()) == {1}


def test_all_of_them_are_run_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALL, "all")
    assert not_in_sample([item("test", 2), item("test", 2)]) == []


def test_the_commit_is_the_seed_and_not_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEED, raising=False)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    for day in (3, 4):
        monkeypatch.setattr("time.time", lambda day=day: 86400.0 * day)
        assert seed() == int(head[:8], 16)


def test_the_printed_seed_repeats_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEED, raising=False)
    printed = described()
    before = seed()
    name, _, value = printed.partition(", sample ")[2].partition("=")
    monkeypatch.setattr(sample, "commit", lambda: "f" * 40)
    assert seed() != before
    monkeypatch.setenv(name, value)
    assert seed() == before
