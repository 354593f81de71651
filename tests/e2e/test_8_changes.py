"""A host changes its strategy while it is talked to, and something happens to its guard, or an agent attacks: others
with each commit.

`make soak` has each change, on hosts of both kinds of project root, and all that happens to a guard.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.e2e.fleet import Fleet
from tests.e2e.forging import cannot_forge
from tests.e2e.guards import SCENARIOS, prepare
from tests.e2e.hostile_pods import attack_pods
from tests.e2e.sample import sampled, seed
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


@sampled(300)
def test_running_host_changes_its_strategy(fleet: Fleet) -> None:
    number = seed()
    name, strategy = CHANGES[number % len(CHANGES)]
    change(fleet, name, strategy)
    if strategy != CHOWN:
        prepare(fleet, name)
    happens: list[Callable[[Fleet, str], object]] = [
        *SCENARIOS.values(),
        cannot_forge,
        partial(attack_pods, attempts=100, seed=number),
    ]
    happens[number // len(CHANGES) % len(happens)](fleet, name)  # each of them with each change, in time
