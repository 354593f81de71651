"""What CI takes of scenarios that are alike, or long: some of them each day, others the next. `make soak` takes all."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

SEED = "NANOCLAW_PODS_SEED"
"""Environment variable: the seed of a sample that is to be run again."""
ALL = "NANOCLAW_PODS_SCENARIOS"
"""Environment variable: with the value `all` no scenario waits for its day."""


def seed() -> int:
    """The day, as a number, unless another one is asked for."""
    return int(os.environ.get(SEED, time.time() // 86400))


def one_in(number: int, first: int = 0) -> pytest.MarkDecorator:
    """A mark for a test, each of whose parameters has its turn once in so many days; `first` is that of the first."""
    return pytest.mark.one_in(number, first)


EVEN_DAYS, ODD_DAYS = one_in(2), one_in(2, first=1)
"""For single tests, so that each day has its share of the long ones."""


def of_another_day(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests that wait for their day: of each test's parameters all but every so many, beginning with the seed's."""
    if os.environ.get(ALL) == "all":
        return []
    seen: dict[Any, int] = {}
    waiting = []
    for item in items:
        mark = item.get_closest_marker("one_in")
        if mark:
            function = getattr(item, "originalname", item.name)
            number, first = mark.args
            turn = seen[function] = seen.get(function, first - 1) + 1
            if turn % number != seed() % number:
                waiting.append(item)
    return waiting
