"""Exports and mounts on real kernels: stale file handles, refused options, containers and the server."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import asdict

from files.pods.nfs.protocol import ExportChange, ExportChangeRequest
from tasks.model.nfs.exports import DROPIN, table_entries
from tests.e2e.fleet import Fleet
from tests.e2e.sample import sampled
from tests.programs import shell_command

MOUNT = "Pods mount | Mount the pods"


def _reaches_server(fleet: Fleet, name: str) -> bool:
    """Whether a container with the agent image can open a connection to the NFS server."""
    server = fleet.lab["server"].address
    command = f"docker run --rm --entrypoint sh {fleet.host(name).image} -c 'nc -w 5 {server} 2049 </dev/null'"
    return fleet.lab[name].run(command, check=False, timeout=120).returncode == 0


@sampled(120)
def test_containers_cannot_reach_the_nfs_server(fleet: Fleet) -> None:
    """Checked from inside a container. Without the role's rules it does reach the server, so the check can fail."""
    host = fleet.lab["host-1000"]
    assert not _reaches_server(fleet, "host-1000")
    host.succeed("nft delete table inet nanoclaw_pods || iptables-legacy -t mangle -F NANOCLAW-PODS")
    assert _reaches_server(fleet, "host-1000")
    assert fleet.deploy("--limit", "host-1000").changed
    assert not _reaches_server(fleet, "host-1000")


@sampled(120)
def test_stale_file_handle_is_repaired(fleet: Fleet) -> None:
    """The export directory was replaced by a copy while it was mounted, so its file handles are stale."""
    fleet.lab["host-1500"].succeed(f"systemctl stop {fleet.host('host-1500').unit}")
    fleet.lab["server"].succeed(
        "cd /srv/pods && cp -a host-1500 new && rm -rf host-1500 && mv new host-1500 && exportfs -f"
    )
    assert "Stale file handle" in fleet.lab["host-1500"].fail("ls /pods/")
    assert (MOUNT, "host-1500") in fleet.deploy("--limit", "host-1500").changed
    assert fleet.send_message("host-1500", "after the stale handle") == "echo: after the stale handle"


@sampled(10)
def test_export_table_that_exportfs_refuses_changes_nothing(fleet: Fleet) -> None:
    """A line that would break mounted hosts never comes into force."""
    server = fleet.lab["server"]
    before = server.succeed(f"cat {DROPIN}; exportfs -s")
    desired = table_entries(fleet.plan.servers["server"].exports)
    digest = hashlib.sha256(server.succeed(f"cat {DROPIN}").encode()).hexdigest()
    for text in ("/srv/pods/host-root 10.99.0.11(rw,anonuid=node)\n", "/srv/pods/host-root (rw)\n", "# empty\n"):
        change = json.dumps(asdict(ExportChange(text, digest, desired, [])))
        command = shell_command("nfs.exports", ExportChangeRequest(DROPIN).document())
        assert "Exports not changed" in server.fail(f"printf %s {shlex.quote(change)} | {command}")
        assert server.succeed(f"cat {DROPIN}; exportfs -s") == before


@sampled(330)
def test_option_that_needs_a_new_mount_is_applied(fleet: Fleet) -> None:
    """One host gets an option that a remount cannot change, another one NFSv3.

    The run stops the agents and mounts the pods again. The kernel shows the options, and the agents answer.
    """
    fleet.data["host-1000"]["pods_mount_options"] = ["lookupcache=positive"]
    fleet.data["server"]["nfs_v3"] = True
    fleet.data["host-1500"]["pods_nfs_version"] = "3"
    assert {(MOUNT, "host-1000"), (MOUNT, "host-1500")} <= fleet.deploy().changed
    assert fleet.lab["host-1000"].succeed("findmnt -no OPTIONS /pods").count("lookupcache=pos") == 1
    assert "vers=3" in fleet.lab["host-1500"].succeed("findmnt -no OPTIONS /pods")
    assert set(fleet.send_to_all("mounted again").values()) == {"echo: mounted again"}
    assert fleet.deploy().changed == set()
