"""A sample of one round of the matrix, which the commit chooses. `make matrix` runs all of it."""

from __future__ import annotations

import random

from tests.e2e.fleet import Fleet
from tests.e2e.sample import SEED, sampled, seed
from tests.lab.shell import say
from tests.matrix.cells import ROUNDS, Cell
from tests.matrix.run import REASONS, run

SAMPLE = 24
CONTAINED = 2


@sampled(100)
def test_kernels_agree_with_a_sample_of_the_matrix(incident_fleet: Fleet) -> None:
    """The kernel does what the model predicts for each action."""
    number = seed()
    round = ROUNDS[number % len(ROUNDS)]
    lab = incident_fleet.lab

    def sample(cells: list[Cell]) -> list[Cell]:
        members = [cell for cell in cells if cell.round == round]
        return sorted(random.Random(number).sample(members, SAMPLE), key=lambda cell: cell.name)

    outcome = run(lab["server"], lab["host-1500"], sample, say, CONTAINED)
    assert outcome.disagreements == [], f"{SEED}={number}"
    assert outcome.cells == SAMPLE
    assert outcome.actions > 0
    assert outcome.in_containers == (CONTAINED if round == "as installed" else 0)
    assert {each["why"] for each in outcome.not_run} <= REASONS
