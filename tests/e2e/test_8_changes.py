"""A host changes its strategy while it is talked to, and something happens to its guard: others each day.

`make soak` has each change, on hosts of both kinds of project root, and all that happens to a guard.
"""

from __future__ import annotations

import os
import time

from tests.e2e.fleet import Fleet
from tests.e2e.guards import SCENARIOS, prepare
from tests.e2e.strategies import CHOWN, NATIVE, SQUASH, SQUASH_ROOT, change
from tests.e2e.test_8_matrix import SEED

CHANGES = (
    ("host-1000", CHOWN),
    ("host-root", CHOWN),
    ("host-1000", NATIVE),
    ("host-root", SQUASH),
    ("host-1000", SQUASH_ROOT),
    ("host-root", NATIVE),
)
"""From what the lab's hosts have: squash, one as root, one as uid 1000."""


def test_another_strategy_on_a_living_host(fleet: Fleet) -> None:
    seed = int(os.environ.get(SEED, time.time() // 86400))
    name, strategy = CHANGES[seed % len(CHANGES)]
    change(fleet, name, strategy)
    if strategy != CHOWN:
        prepare(fleet, name)
    happens = sorted(SCENARIOS)[seed % len(SCENARIOS)]
    SCENARIOS[happens](fleet, name)
