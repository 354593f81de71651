"""The laps of strategies in soak tests: each has every change, and ends where it began."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest

from tests.e2e.strategies import CHOWN, NATIVE, SQUASH, SQUASH_ROOT, Strategy, changes_from

ALL = (SQUASH, SQUASH_ROOT, NATIVE, CHOWN)


@pytest.mark.parametrize("start", ALL, ids=str)
def test_lap_has_each_change_of_strategy_once(start: Strategy) -> None:
    changes = list(pairwise((start, *changes_from(start))))
    assert sorted(changes, key=str) == sorted(permutations(ALL, 2), key=str)
    assert changes[-1][1] == start
