"""A second run changes nothing; a dry run predicts correctly and changes nothing."""

from __future__ import annotations

from tests.e2e.digest import assert_unchanged, digests
from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled


def test_second_run_changes_nothing(fleet: Fleet) -> None:
    """No operation on any machine reports a change."""
    run = fleet.deploy()
    assert run.changed == set()
    assert {host for _operation, host in run.unchanged} == set(fleet.data)


def test_dry_run_on_finished_machines(fleet: Fleet) -> None:
    """It predicts no change and makes none."""
    before = digests(fleet.machines)
    run = fleet.dry_run()
    assert run.predicted == set()
    assert_unchanged(before, fleet.machines)


@sampled(180)
def test_dry_run_on_drifted_machines_predicts_the_repair(fleet: Fleet) -> None:
    """It predicts exactly what the real run then does, and changes nothing itself."""
    address = fleet.lab["host-1000"].address
    weaker = "rw,sync,no_subtree_check,insecure,all_squash,anonuid=1000,anongid=1000"
    fleet.lab["server"].succeed(f"exportfs -o {weaker} {address}:/srv/pods/host-1000")
    host = fleet.host("host-1500")
    fleet.lab["host-1500"].succeed(f"rm -f /etc/systemd/system/{host.unit}.d/*.conf")
    before = digests(fleet.machines)
    dry = fleet.dry_run()
    assert_unchanged(before, fleet.machines)
    assert dry.predicted
    assert fleet.deploy().changed == dry.predicted
