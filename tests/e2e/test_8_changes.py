"""A host changes its strategy while it gets messages; then its guard fails in some way, or an agent attacks.

The commit chooses which. `make soak` runs each change and each failure, on hosts with both kinds of project root.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.e2e.fleet import Fleet
from tests.e2e.forging import assert_cannot_forge
from tests.e2e.guards import SCENARIOS, prepare
from tests.e2e.hostile_pods import attack_pods
from tests.e2e.sample import sampled, seed
from tests.e2e.strategies import CHOWN, NATIVE, SQUASH, SQUASH_ROOT, change_strategy

CHANGES = (
    ("host-1000", CHOWN),
    ("host-root", CHOWN),
    ("host-1000", NATIVE),
    ("host-root", SQUASH),
    ("host-1000", SQUASH_ROOT),
    ("host-root", NATIVE),
)
"""The hosts start with squash: one as root, one as uid 1000."""


@sampled(300)
def test_running_host_changes_its_strategy(fleet: Fleet) -> None:
    number = seed()
    name, strategy = CHANGES[number % len(CHANGES)]
    change_strategy(fleet, name, strategy)
    if strategy != CHOWN:
        prepare(fleet, name)
    scenarios: list[Callable[[Fleet, str], object]] = [
        *SCENARIOS.values(),
        assert_cannot_forge,
        partial(attack_pods, attempts=100, seed=number),
    ]
    scenarios[number // len(CHANGES) % len(scenarios)](fleet, name)
