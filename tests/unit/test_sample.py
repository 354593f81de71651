"""Scenarios that are alike take turns: none is forgotten."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e import sample
from tests.e2e.sample import ALL, SEED, of_another_day


def item(function: str, every: int | None, first: int = 0) -> Any:
    mark = None if every is None else SimpleNamespace(args=(every, first))
    return SimpleNamespace(name=f"{function}[x]", originalname=function, get_closest_marker=lambda _name: mark)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 4), st.integers(0, 10**6)
)
def test_each_scenario_has_its_turn_and_others_their_own(sizes: list[int], every: int, first: int, day: int) -> None:
    items = [item(f"test_{number}", every, first) for number, size in enumerate(sizes) for _ in range(size)]
    always = item("test_always", None)
    turns = {id(each): 0 for each in items}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(ALL, raising=False)
        for later in range(every):
            patch.setenv(SEED, str(day + later))
            waiting = of_another_day([*items, always])
            assert always not in waiting
            for each in items:
                turns[id(each)] += each not in waiting
    assert set(turns.values()) == {1}


def test_all_of_them_are_run_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALL, "all")
    assert of_another_day([item("test", 2), item("test", 2)]) == []


def test_the_seed_is_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEED, raising=False)
    monkeypatch.setattr("time.time", lambda: 86400.0 * 3 + 5)
    assert sample.seed() == 3
