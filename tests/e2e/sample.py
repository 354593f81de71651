"""The sample of longer scenarios that CI runs: as many as its time allows, in an order that the commit chooses.

`make soak` runs all scenarios. `git checkout COMMIT` repeats the sample of a build, and so does the printed seed.
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

BUDGET = 1200
"""Seconds for the scenarios of a sample, by their marks. Those were measured with a slower kernel in the guests: a
scenario takes less than half of its mark now, so that a sample takes about 12 of the 40 minutes of CI.
"""


def seed() -> int:
    """Return the number that chooses the sample: from the environment, or else from the commit."""
    seed = os.environ.get(SEED)
    return int(seed) if seed is not None else int(commit()[:8], 16)


@cache
def commit() -> str:
    """Return the id of the tested commit; zeros outside of a git checkout."""
    argv = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--verify", "HEAD"]
    head = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return head.stdout.strip() if head.returncode == 0 else "0" * 40


def sample_line() -> str:
    """Return the line that a test run prints first."""
    return f"commit {commit()[:12]}, sample {SEED}={seed()}"


def sampled(seconds: int) -> pytest.MarkDecorator:
    """Mark a scenario that only some commits run. `seconds` includes the deploy that repairs the machines after it."""
    return pytest.mark.sampled(seconds)


def not_in_sample(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the scenarios that do not fit into the time of this sample."""
    if os.environ.get(ALL) == "all":
        return []
    seconds = {item: mark.args[0] for item in items if (mark := item.get_closest_marker("sampled"))}
    left, left_out = BUDGET, []
    for item in sorted(seconds, key=lambda item: _position(item.nodeid, seconds[item])):
        if seconds[item] <= left:
            left -= seconds[item]
        else:
            left_out.append(item)
    return left_out


def _position(name: str, seconds: int) -> float:
    """Return a scenario's position in the order. Longer ones tend to come first, since later there is no time for them.

    The position depends on the seed and the scenario's name only, so a new scenario does not move the others.
    """
    return Random(f"{seed()} {name}").expovariate(seconds)


if __name__ == "__main__":
    print(sample_line())
