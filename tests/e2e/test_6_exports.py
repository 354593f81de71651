"""Exports on a real NFS server: those of others, of removed hosts and of a second inventory; NFS versions."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tasks.model.nfs.exports import DROPIN
from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled

TABLE = "NFS server | Export the pods"
SITE = "/etc/exports.d/site.exports"
STARTED = "systemctl show nfs-server.service --property=ActiveEnterTimestamp --value"


def _etab(fleet: Fleet) -> set[str]:
    return set(fleet.lab["server"].succeed("cat /var/lib/nfs/etab").splitlines())


def _second_inventory(fleet: Fleet) -> Fleet:
    """Return another inventory with the same server, and one host that does not exist."""
    data = {"server": copy.deepcopy(fleet.data["server"]), "bergen": copy.deepcopy(fleet.data["host-1000"])}
    data["bergen"]["ssh_hostname"] = fleet.lab["server"].address.rpartition(".")[0] + ".99"
    return replace(fleet, data=data, folder=fleet.folder / "second")


@sampled(60)
def test_change_of_exports_keeps_exports_of_others(fleet: Fleet) -> None:
    """One export is in no file (exportfs -i). A site file names a directory that is missing, so exportfs warns."""
    server = fleet.lab["server"]
    address = fleet.lab["host-1000"].address
    try:
        server.succeed("mkdir -p /srv/films && exportfs -i -o ro,no_subtree_check 10.0.0.0/24:/srv/films")
        server.succeed(f"printf '/srv/unplugged/ 10.0.0.9(ro)\\n\"/srv/films\" NAS.lan(ro)\\n' > {SITE}")
        server.succeed(f"exportfs -u {address}:/srv/pods/host-1000")
        before = _etab(fleet)
        assert fleet.deploy("--limit", "server").changed == {(TABLE, "server")}
        after = _etab(fleet)
        assert before < after and [line.split("\t")[0] for line in after - before] == ["/srv/pods/host-1000"]
        again = fleet.deploy("--limit", "server")
        assert again.changed == set() and _etab(fleet) == after
        assert "others use this NFS server: 10.0.0.0/24:/srv/films" in again.log
    finally:
        server.run(f"rm -f {SITE}; exportfs -u 10.0.0.0/24:/srv/films", check=False)


@sampled(180)
def test_two_inventories_of_one_server_keep_each_others_exports(fleet: Fleet) -> None:
    second, server = _second_inventory(fleet), fleet.lab["server"]
    own_lines = server.succeed(f"cat {DROPIN}")
    try:
        assert second.deploy("--limit", "server").changed >= {(TABLE, "server")}
        both = server.succeed(f"cat {DROPIN}")
        assert set(own_lines.splitlines()) < set(both.splitlines())
        assert {line.split("\t")[0] for line in _etab(fleet)} >= {"/srv/pods/bergen", "/srv/pods/host-1000"}
        run = fleet.deploy("--limit", "server")
        assert run.changed == set() == second.deploy("--limit", "server").changed
        assert "left alone: /srv/pods/bergen to " in run.log
        assert server.succeed(f"cat {DROPIN}") == both
    finally:
        fleet.data["server"]["nfs_remove_exports"] = ["/srv/pods/bergen"]
        gone = fleet.deploy("--limit", "server")
        server.run("rmdir /srv/pods/bergen", check=False)
    assert gone.changed == {(TABLE, "server")} and server.succeed(f"cat {DROPIN}") == own_lines
    assert "/srv/pods/bergen" not in "".join(_etab(fleet))
    assert set(fleet.send_to_all("after the second inventory").values()) == {"echo: after the second inventory"}


@sampled(30)
@pytest.mark.parametrize("setting", ["nfs_remove_exports", None])
def test_removed_host_keeps_its_mounted_export(fleet: Fleet, setting: str | None) -> None:
    """A run that must remove it is refused. Without that setting the export stays, and the log names it."""
    smaller = replace(fleet, data={name: data for name, data in fleet.data.items() if name != "host-1500"})
    if setting:
        smaller.data["server"] = {**smaller.data["server"], setting: ["/srv/pods/host-1500"]}
    run = smaller.run("-y", "--limit", "server")
    address = fleet.lab["host-1500"].address
    if setting:
        assert run.exit != 0 and f"{address} may have it mounted and would lose it" in run.log
    else:
        assert run.exit == 0 and f"left alone: /srv/pods/host-1500 to {address} (host-1500)" in run.log
        assert run.changed == set()
    assert fleet.send_message("host-1500", "still there") == "echo: still there"


@sampled(30)
def test_server_with_other_clients_is_not_restarted(fleet: Fleet) -> None:
    """NFSv3 off needs a restart. A host that was removed from the inventory counts as another client."""
    started = fleet.lab["server"].succeed(STARTED)
    smaller = replace(fleet, data={name: data for name, data in fleet.data.items() if name != "host-1500"})
    smaller.data["server"] = {**smaller.data["server"], "nfs_v3": False}
    run = smaller.run("-y", "--limit", "server")
    assert run.exit != 0 and "restart of nfs-server.service, which others use: " in run.log
    assert f"others use this NFS server: {fleet.lab['host-1500'].address}" in run.log
    assert fleet.lab["server"].succeed(STARTED) == started


@sampled(120)
def test_overriding_site_file_is_named_and_nothing_restarts(fleet: Fleet) -> None:
    server, site = fleet.lab["server"], "/etc/nfs.conf.d/zz-site.conf"
    started = server.succeed(STARTED)
    try:
        server.succeed(f"printf '[nfsd]\\nvers3 = Y\\n' > {site}")
        fleet.data["server"]["nfs_v3"] = False
        for _run in range(2):
            run = fleet.run("-y", "--limit", "server")
            assert run.exit != 0 and f"{site} overrides nfs_v3" in run.log
        assert server.succeed(STARTED) == started
    finally:
        server.run(f"rm -f {site}", check=False)
