"""A NanoClaw v1 becomes a v2: one host, of a kind that the seed chooses. `make soak` runs all of them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bad_v1 import cases_of, refused
from tests.e2e.fleet import HOST_KINDS, Fleet
from tests.e2e.migrations import failed_gate_then_migrated, prepare
from tests.e2e.sample import sampled, seed
from tests.e2e.v1_hosts import old_of


@sampled(630)
def test_failed_gate_rolls_back_and_the_next_run_migrates(incident_fleet: Fleet, tmp_path: Path) -> None:
    first = seed()
    name = sorted(HOST_KINDS)[first % len(HOST_KINDS)]
    fleet = Fleet.of(incident_fleet.lab)
    prepare(fleet, [name], tmp_path)
    cases = cases_of(fleet, name)
    for number in (first, first + 3):  # first, while all is as it should be but for one thing
        refused(fleet, name, cases[number % len(cases)])
    if old_of(name).how == "system":
        fleet.data[name]["nanoclaw_v1_dir"] = "auto"
    failed_gate_then_migrated(fleet, name)
