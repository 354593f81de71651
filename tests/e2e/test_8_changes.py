"""A host changes its strategy while it is talked to, and something happens to its guard: others each day.

`make soak` has each change, on hosts of both kinds of project root, and all that happens to a guard.
"""

from __future__ import annotations

from tests.e2e.fleet import Fleet
from tests.e2e.guards import SCENARIOS, prepare
from tests.e2e.sample import one_in, seed
from tests.e2e.strategies import CHOWN, NATIVE, SQUASH, SQUASH_ROOT, change

CHANGES = (
    ("host-1000", CHOWN),
    ("host-root", CHOWN),
    ("host-1000", NATIVE),
    ("host-root", SQUASH),
    ("host-1000", SQUASH_ROOT),
    ("host-root", NATIVE),
)
"""From what the lab's hosts have: squash, one as root, one as uid 1000."""


@one_in(2)  # the other days are those of a migration
def test_another_strategy_on_a_living_host(fleet: Fleet) -> None:
    today = seed()
    name, strategy = CHANGES[today % len(CHANGES)]
    change(fleet, name, strategy)
    if strategy != CHOWN:
        prepare(fleet, name)
    happens = sorted(SCENARIOS)[today % len(SCENARIOS)]
    SCENARIOS[happens](fleet, name)
