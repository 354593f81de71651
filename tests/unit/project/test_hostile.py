"""An agent attacks the programs that give owners as root: what it may never reach, and that the attack can succeed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sample import SEED, seed
from tests.hostile.givers import BROKEN
from tests.unit.trees.trees import needs_root

ATTEMPTS, SLOW_ATTEMPTS = 2000, 600
"""The owners of what slow calls leave behind take long to be set."""
ENOUGH = 200
"""So many attempts there are on the slowest of machines."""
SECONDS = 7
PATIENCE = 60
"""Seconds that a fault may take to be found; it mostly takes one or two, and ten where it takes luck."""
SMALL = ["--depth", "300", "--huge", "300"]


def attack(attempts: int, *more: str) -> dict[str, Any]:
    """What came of an attack with the seed of the sample, in a process and in mounts of its own."""
    args = ["--attempts", str(attempts), "--seed", str(seed()), "--seconds", str(SECONDS), *SMALL, *more]
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", *args],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert outcome["passed"] == (done.returncode == 0)
    return outcome


@needs_root
@pytest.mark.parametrize("latency", ["0", "0.3"])
def test_an_agent_gets_nothing_that_is_not_in_its_tree(latency: str) -> None:
    """At a local disk's speed, and with calls that take as long as over NFS."""
    outcome = attack(SLOW_ATTEMPTS if float(latency) else ATTEMPTS, "--latency", latency)
    told = f"{SEED}={outcome['seed']}"
    assert outcome["violations"] == [], told
    assert outcome["failures"] == [], told
    assert outcome["left"] == [], told
    assert outcome["attempts"] >= ENOUGH
    assert outcome["made"] >= ENOUGH
    assert outcome["runs"] >= 2
    if outcome["not_mounted"]:
        pytest.skip(f"all but what needs mounts was tried: {outcome['not_mounted']}")


@needs_root
@pytest.mark.parametrize("program", ["naive", *BROKEN])
def test_an_attack_on_a_faulty_program_succeeds(program: str) -> None:
    """The law is broken by what one would write at first, and by each fault that could come into the walk."""
    outcome = attack(1_000_000, "--seconds", str(PATIENCE), "--program", program)
    if outcome["not_mounted"] and "mount" in program:
        pytest.skip(outcome["not_mounted"])
    assert outcome["violations"], outcome


@needs_root
def test_a_mount_that_appears_while_the_guard_looks_is_not_entered() -> None:
    """An operator mounts something on a directory a moment after it was made, when its event is still to come."""
    outcome = attack(ATTEMPTS, "--mounting")
    assert outcome["violations"] == [], f"{SEED}={outcome['seed']}"
    assert outcome["attempts"] >= ENOUGH
    if outcome["not_mounted"]:
        pytest.skip(outcome["not_mounted"])
