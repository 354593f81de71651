"""A server outside the inventory, such as a filer: the role observes how it maps ids."""

from __future__ import annotations

import json
import time
from typing import Any

from files.pods.nfs.protocol import ObserveRequest
from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled
from tests.programs import shell_command

NAME = "host-1500"


def _without_server(fleet: Fleet) -> Fleet:
    """Return the host without its server, which the settings name by address only."""
    source = fleet.host(NAME).source
    assert source is not None
    data = {**fleet.data[NAME], "pods_server": source.address, "pods_export": source.path}
    return Fleet(fleet.lab, {NAME: data}, fleet.folder)


def _export(fleet: Fleet, options: str) -> None:
    address = fleet.lab[NAME].address
    fleet.lab["server"].succeed(
        f"exportfs -o rw,sync,no_subtree_check,sec=sys,secure,{options} {address}:/srv/pods/{NAME}"
    )


def _observe(fleet: Fleet, address: str) -> dict[str, Any]:
    ids, places = (1500, 1500), ["v2-sessions", "groups", "."]
    request = ObserveRequest(address, f"/srv/pods/{NAME}", "4.2", "tcp", places, host=ids, agent=ids, seconds=15)
    command = shell_command(request.entry, request.document())
    reply: dict[str, Any] = json.loads(fleet.lab[NAME].succeed(command, timeout=60))
    return reply


@sampled(100)
def test_auto_follows_the_observed_squash(fleet: Fleet) -> None:
    """An observed squash to the agent is used. An observed root_squash is refused with the way out."""
    unmanaged = _without_server(fleet)
    names = f"ls -AR /srv/pods/{NAME} | grep -v -e heartbeat -e '[.]db' -e nanoclaw.log | sort"
    before = fleet.lab["server"].succeed(names)
    run = unmanaged.deploy()
    assert (
        "observed: what host creates is 1500:1500, what agent creates is 1500:1500, what root creates is 1500:1500"
        in run.log
    )
    assert f"pods_access squash for {NAME}" in run.log
    assert run.changed == set()
    assert fleet.lab["server"].succeed(names) == before
    _export(fleet, "root_squash,no_all_squash,anonuid=65534,anongid=65534")
    try:
        refused = unmanaged.run("-y")
        assert refused.exit != 0
        assert "(root_squash)" in refused.log
        assert "dockerd cannot make /workspace/agent" in refused.log
        assert "let the server export with all_squash,anonuid=1500,anongid=1500" in refused.log
    finally:
        _export(fleet, "all_squash,anonuid=1500,anongid=1500")
    assert "a dry run does not observe how the server maps ids" in unmanaged.dry_run().log


@sampled(30)
def test_id_mapping_by_name_with_other_domains_is_refused(fleet: Fleet) -> None:
    """The refusal names the different domains before any change."""
    machines = {"nfsd": fleet.lab["server"], "nfs": fleet.lab[NAME]}
    for module, machine in machines.items():
        machine.succeed(
            f"echo N > /sys/module/{module}/parameters/nfs4_disable_idmapping && cp /etc/idmapd.conf /root/ && "
            f"sed -i '/^.General./a Domain = {machine.name}.example' /etc/idmapd.conf"
        )
    machines["nfsd"].succeed("systemctl restart nfs-idmapd")
    try:
        refused = _without_server(fleet).run("-y")
        assert refused.exit != 0
        assert "NFSv4 maps ids by name between this machine and the server, and their domains differ" in refused.log
    finally:
        for module, machine in machines.items():
            parameter = f"/sys/module/{module}/parameters/nfs4_disable_idmapping"
            machine.succeed(f"echo Y > {parameter} && mv /root/idmapd.conf /etc/idmapd.conf")
        machines["nfsd"].succeed("systemctl restart nfs-idmapd")


@sampled(20)
def test_observation_of_a_dead_server_times_out(fleet: Fleet) -> None:
    """It ends within its timeout and leaves no mount."""
    started = time.monotonic()
    reply = _observe(fleet, fleet.lab["server"].subnet.address(250))
    assert reply["state"] in ("ETIMEDOUT", "EHOSTUNREACH")
    assert time.monotonic() - started < 40
    fleet.lab[NAME].fail(f"grep {fleet.lab['server'].subnet.address(250)} /proc/self/mounts")
