"""What CI runs of scenarios that are alike, or long: a sample that the commit chooses. `make soak` runs all.

`git checkout COMMIT` repeats the sample of a build, and so does the seed that each run prints first.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SEED = "NANOCLAW_PODS_SEED"
"""Environment variable: the seed of a sample that is to be run again."""
ALL = "NANOCLAW_PODS_SCENARIOS"
"""Environment variable: with the value `all` every scenario is run."""


def seed() -> int:
    """The number that chooses the sample: that of the commit, unless the environment names another."""
    given = os.environ.get(SEED)
    return int(given) if given is not None else int(commit()[:8], 16)


@cache
def commit() -> str:
    """The id of the commit that is tested; zeros outside of a git checkout."""
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--verify", "HEAD"]
    asked = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else "0" * 40


def described() -> str:
    """The line that a run of tests prints first."""
    return f"commit {commit()[:12]}, sample {SEED}={seed()}"


def one_in(number: int, first: int = 0) -> pytest.MarkDecorator:
    """A mark for a test: each of its parameters is in one of so many samples; `first` is that of the first."""
    return pytest.mark.one_in(number, first)


FIRST_THIRD, SECOND_THIRD, LAST_THIRD = one_in(3), one_in(3, first=1), one_in(3, first=2)
"""For single tests, so that each sample has its share of the long ones."""


def not_in_sample(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests that this sample leaves out: of each test's parameters all but every so many, from the seed's on."""
    if os.environ.get(ALL) == "all":
        return []
    seen: dict[Any, int] = {}
    left_out = []
    for item in items:
        mark = item.get_closest_marker("one_in")
        if mark:
            function = getattr(item, "originalname", item.name)
            number, first = mark.args
            turn = seen[function] = seen.get(function, first - 1) + 1
            if turn % number != seed() % number:
                left_out.append(item)
    return left_out


if __name__ == "__main__":
    print(described())
