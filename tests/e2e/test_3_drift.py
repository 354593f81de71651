"""Drift, one kind at a time: the next run repairs it and reports exactly that."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled

_UNIT = "$(systemctl list-unit-files --no-legend 'nanoclaw-v2-*.service' | cut -d' ' -f1)"


@dataclass(frozen=True)
class Drift:
    """A command that breaks a machine, the one operation that repairs it, and a command that checks the repair."""

    machine: str
    break_command: str
    operation: str
    check: str


DRIFTS = {
    "export line": Drift(
        "server",
        "sed -i 's/all_squash/no_root_squash/' /etc/exports.d/nanoclaw-pods.exports",
        "NFS server | Export the pods",
        "grep -c all_squash /etc/exports.d/nanoclaw-pods.exports | grep -qx 3",
    ),
    "live export": Drift(
        "server",
        "exportfs -u 10.99.{subnet}.12:/srv/pods/host-1000",
        "NFS server | Export the pods",
        "exportfs -s | grep -q /srv/pods/host-1000",
    ),
    "mount option": Drift(
        "host-1000",
        "mount -o remount,suid /pods",
        "Pods mount | Mount the pods",
        "findmnt -no OPTIONS /pods | grep -q nosuid",
    ),
    "unit": Drift(
        "host-1500",
        f"sed -i 's/^Restart=always/Restart=no/' /etc/systemd/system/{_UNIT}",
        "NanoClaw service | Run NanoClaw as a service",
        f"grep -q ^Restart=always /etc/systemd/system/{_UNIT}",
    ),
    "drop-in": Drift(
        "host-1500",
        f"rm /etc/systemd/system/{_UNIT}.d/50-nanoclaw-pods.conf && systemctl daemon-reload",
        "NanoClaw service | Run NanoClaw as a service",
        f"systemctl cat {_UNIT} | grep -q ^BindsTo",
    ),
    "owner of one file": Drift(
        "server",
        "touch /srv/pods/host-1000/groups/main/stray && chown 0:0 /srv/pods/host-1000/groups/main/stray",
        "Ownership on the server | Chown the exports to their agents",
        'test -z "$(find /srv/pods/host-1000/groups -uid 0)"',
    ),
    "stopped service": Drift(
        "host-1000",
        f"systemctl stop {_UNIT}",
        "NanoClaw service | Run NanoClaw as a service",
        f"systemctl is-active {_UNIT}",
    ),
    "removed package": Drift(
        "host-1000",
        "dpkg --force-depends --remove nftables",
        "Runtime | Install packages and make the host user",
        "dpkg-query -W -f '${db:Status-Status}' nftables | grep -qx installed",
    ),
    "mode of .env": Drift(
        "host-1000",
        "chmod 0644 /opt/nanoclaw/.env",
        "NanoClaw service | Set .env and close it",
        "stat -c %a /opt/nanoclaw/.env | grep -qx 600",
    ),
}


CASES = [pytest.param(case, marks=sampled(20 if drift.machine == "server" else 100)) for case, drift in DRIFTS.items()]
"""A repair on a host takes longer, because NanoClaw restarts."""


@pytest.mark.parametrize("case", CASES)
def test_only_the_drift_is_repaired(fleet: Fleet, case: str) -> None:
    drift = DRIFTS[case]
    machine = fleet.lab[drift.machine]
    subnet = machine.address.split(".")[2]
    machine.succeed(drift.check)
    machine.succeed(drift.break_command.format(subnet=subnet))
    machine.fail(drift.check)
    run = fleet.deploy("--limit", drift.machine)
    assert run.changed == {(drift.operation, drift.machine)}
    machine.succeed(drift.check)
