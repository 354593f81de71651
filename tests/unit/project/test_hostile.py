"""An agent attacks the programs that chown as root: it never succeeds, except against faulty ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sample import SEED, seed
from tests.hostile.targets import BROKEN
from tests.unit.trees.trees import needs_root

ATTEMPTS, SLOW_ATTEMPTS = 2000, 600
"""With slow calls the last chowns take long, so there are fewer attempts."""
ENOUGH = 200
"""The slowest machine makes at least so many attempts."""
SECONDS = 7
PATIENCE = 180
"""Seconds until a fault must show; most need one or two, some need luck and ten."""
SMALL = ["--depth", "300", "--huge", "300"]


def attack(attempts: int, *more: str) -> dict[str, Any]:
    """Run an attack with the seed of the sample, in its own process and mounts. Return its outcome."""
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
def test_agent_gets_nothing_outside_its_tree(latency: str) -> None:
    """At a local disk's speed, and with calls that take as long as over NFS."""
    outcome = attack(SLOW_ATTEMPTS if float(latency) else ATTEMPTS, "--latency", latency)
    repeat_with = f"{SEED}={outcome['seed']}"
    assert outcome["violations"] == [], repeat_with
    assert outcome["failures"] == [], repeat_with
    assert outcome["left"] == [], repeat_with
    assert outcome["attempts"] >= ENOUGH
    assert outcome["made"] >= ENOUGH
    assert outcome["runs"] >= 2
    if outcome["not_mounted"]:
        pytest.skip(f"all but what needs mounts was tried: {outcome['not_mounted']}")


@needs_root
@pytest.mark.parametrize("program", ["naive", *BROKEN])
def test_attack_on_a_faulty_program_succeeds(program: str) -> None:
    """The naive program breaks the invariants, and so does each fault of the walk."""
    outcome = attack(1_000_000, "--seconds", str(PATIENCE), "--program", program)
    if outcome["not_mounted"] and "mount" in program:
        pytest.skip(outcome["not_mounted"])
    assert outcome["violations"], outcome


@needs_root
def test_mount_that_appears_during_a_scan_is_not_entered() -> None:
    """An operator mounts on a new directory before the guard has read its event."""
    outcome = attack(ATTEMPTS, "--mounting")
    assert outcome["violations"] == [], f"{SEED}={outcome['seed']}"
    assert outcome["attempts"] >= ENOUGH
    if outcome["not_mounted"]:
        pytest.skip(outcome["not_mounted"])
