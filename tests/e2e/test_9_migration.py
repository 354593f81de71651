"""A host migrates from NanoClaw v1 to v2; the seed chooses its kind. `make soak` runs all kinds."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bad_v1 import assert_refused, refused_cases
from tests.e2e.fleet import HOST_KINDS, Fleet
from tests.e2e.migrations import fail_gate_then_migrate, prepare
from tests.e2e.sample import sampled, seed
from tests.e2e.v1_hosts import v1_of


@sampled(630)
def test_failed_gate_rolls_back_and_the_next_run_migrates(incident_fleet: Fleet, tmp_path: Path) -> None:
    first = seed()
    name = sorted(HOST_KINDS)[first % len(HOST_KINDS)]
    fleet = Fleet.of(incident_fleet.lab)
    prepare(fleet, [name], tmp_path)
    cases = refused_cases(fleet, name)
    for number in (first, first + 3):
        assert_refused(fleet, name, cases[number % len(cases)])
    if v1_of(name).how == "system":
        fleet.data[name]["nanoclaw_v1_dir"] = "auto"
    fail_gate_then_migrate(fleet, name)
