"""What CI runs of the longer scenarios: as many as fit into its time, in an order that the commit chooses.

`make soak` runs all. `git checkout COMMIT` repeats the sample of a build, and so does the seed that each run prints
first.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from random import Random

import pytest

SEED = "NANOCLAW_PODS_SEED"
"""Environment variable: the seed of a sample to repeat."""
ALL = "NANOCLAW_PODS_SCENARIOS"
"""Environment variable: with the value `all` every scenario runs."""

BUDGET = 800
"""Seconds for the scenarios of a sample, on two processors. What always runs takes 540 more, with the lab's start:
together 22 minutes of the 40 that CI may take.
"""


def seed() -> int:
    """The number that chooses the sample: that of the commit, unless the environment names another."""
    given = os.environ.get(SEED)
    return int(given) if given is not None else int(commit()[:8], 16)


@cache
def commit() -> str:
    """The id of the commit that is tested; zeros outside of a git checkout."""
    argv = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--verify", "HEAD"]
    head = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return head.stdout.strip() if head.returncode == 0 else "0" * 40


def described() -> str:
    """The line that a run of tests prints first."""
    return f"commit {commit()[:12]}, sample {SEED}={seed()}"


def sampled(seconds: int) -> pytest.MarkDecorator:
    """Mark a scenario that only some commits run. `seconds` is what it takes, with the run that repairs after it."""
    return pytest.mark.sampled(seconds)


def not_in_sample(items: list[pytest.Item]) -> list[pytest.Item]:
    """The scenarios that this sample leaves out: those for which no time is left when it is their turn."""
    if os.environ.get(ALL) == "all":
        return []
    seconds = {item: mark.args[0] for item in items if (mark := item.get_closest_marker("sampled"))}
    left, left_out = BUDGET, []
    for item in sorted(seconds, key=lambda item: _turn(item.nodeid, seconds[item])):
        if seconds[item] <= left:
            left -= seconds[item]
        else:
            left_out.append(item)
    return left_out


def _turn(name: str, seconds: int) -> float:
    """When it is a scenario's turn. A longer one comes earlier more often, since late there is no room for it.

    Each scenario draws from the seed and its own name, so a new scenario leaves the order of the others.
    """
    return Random(f"{seed()} {name}").expovariate(seconds)


if __name__ == "__main__":
    print(described())
