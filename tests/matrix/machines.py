"""A server with all kinds of exports, and a client that mounts them, as each round of the matrix needs them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

from tests.lab.machine import Machine
from tests.matrix.cells import SHARED_GROUP, USED, Cell, Round

STORED, LOCAL, MOUNTED = "/srv/matrix", "/var/matrix", "/mnt/matrix"
_VERSIONS = {"nfs3": "3", "nfs4": "4.2"}
_EXPORTS, _SETTINGS = "/etc/exports.d/matrix.exports", "/etc/nfs.conf.d/zz-matrix.conf"

_MAPPING = "/etc/idmapd.conf"
_NOBODY = "[Mapping]\nNobody-User = nobody\nNobody-Group = nogroup\n"

_READ_SETTINGS = """
set -e
grep -q +3 /proc/fs/nfsd/versions || systemctl restart nfs-server
systemctl restart nfs-mountd nfs-idmapd
exportfs -ra
for cache in idtoname nametoid; do
    echo $(( $(date +%s) + 1 )) > /proc/net/rpc/nfs4.$cache/flush
done
# Where nfsd started anew: nobody has locks to reclaim, which is all that clients may do for 90 s (nfsd(7)).
grace=/proc/fs/nfsd/v4_end_grace
for _ in $(seq 100); do
    grep -q Y $grace && break
    echo Y > $grace || sleep 1
done
grep -q Y $grace
"""
_CHANNEL_CLOSES = 31
"""Seconds. For 30 s after mountd stops answering for groups, the kernel waits for it and drops requests. Clients send
them again after 60 s (timeo of nfs(5)).
"""

_KNOWN_GROUPS = """
import json, os, pwd
print(json.dumps({p.pw_uid: sorted(os.getgrouplist(p.pw_name, p.pw_gid)) for p in pwd.getpwall()}))
"""


def make_accounts(server: Machine) -> Mapping[int, frozenset[int]]:
    """Create uid 1500 with the shared group on the server; return the groups of each uid that cells use."""
    server.succeed(
        f"groupadd -f -g {SHARED_GROUP} shared && groupadd -f -g 1500 somebody && "
        "{ id -u 1500 || useradd -M -u 1500 -g 1500 -G shared somebody; }"
    )
    known: dict[str, list[int]] = json.loads(server.succeed(f"python3 -c '{_KNOWN_GROUPS}'"))
    return {int(uid): frozenset(groups) for uid, groups in known.items() if int(uid) in USED}


def export(server: Machine, client: Machine, cells: Iterable[Cell]) -> None:
    """Export one directory for each squash."""
    squashes = {cell.variant: cell.case.storage.squash for cell in cells if cell.variant != "local"}
    lines = [
        f"{STORED}/{variant} {client.address}(rw,sync,no_subtree_check,{','.join(squash.options())})\n"
        for variant, squash in squashes.items()
        if squash
    ]
    folders = " ".join(f"{STORED}/{variant}" for variant in squashes)
    server.succeed(f"rm -rf {STORED} && mkdir -p {folders} && systemctl start nfs-server")
    server.put(_EXPORTS, "".join(lines))
    server.succeed("exportfs -ra")
    client.succeed(f"rm -rf {LOCAL} && mkdir -p {LOCAL}")


def set_up(server: Machine, client: Machine, cells: Iterable[Cell], round: Round) -> None:
    """Configure the server and the client for a round, and mount the exports.

    Each mount has a superblock of its own: one that was refused a name would keep mapping ids by name.
    """
    unmount(client)
    manage = "n" if round == "manage-gids=n" else "y"
    numeric = "N" if round == "broken id mapping" else "Y"
    server.put(_SETTINGS, f"[nfsd]\nvers3=y\n[mountd]\nmanage-gids={manage}\n")
    for machine, module in ((server, "nfsd"), (client, "nfs")):
        machine.succeed(f"modprobe {module} && echo {numeric} > /sys/module/{module}/parameters/nfs4_disable_idmapping")
        machine.succeed(f"test -e {_MAPPING}.installed || cp {_MAPPING} {_MAPPING}.installed")
        machine.put(_MAPPING, f"[General]\nDomain = {machine.name}.example\n{_NOBODY}")
    server.succeed(_READ_SETTINGS, timeout=180)
    if manage == "n":
        time.sleep(_CHANNEL_CLOSES)
    pairs = sorted({(cell.variant, cell.case.storage.kind) for cell in cells if cell.variant != "local"})
    mounts = " && ".join(
        f"mkdir -p {MOUNTED}/{kind}/{variant} && mount -t nfs -o vers={_VERSIONS[kind]},hard,nosharecache "
        f"{server.address}:{STORED}/{variant} {MOUNTED}/{kind}/{variant}"
        for variant, kind in pairs
    )
    client.succeed(mounts or "true", timeout=300)


def tear_down(server: Machine, client: Machine) -> None:
    """Remove the matrix from both machines and restore their settings."""
    server.succeed(f"rm -f {_EXPORTS}")
    set_up(server, client, [], "as installed")
    for machine in (server, client):
        machine.succeed(f"mv {_MAPPING}.installed {_MAPPING}")
        machine.succeed(f"rm -rf {_SETTINGS} {STORED} {LOCAL} /root/carry_out.py", timeout=300)
    server.succeed("systemctl restart nfs-server", timeout=180)


def unmount(client: Machine) -> None:
    """Unmount everything of the matrix."""
    client.succeed(f"grep -o ' {MOUNTED}[^ ]*' /proc/self/mounts | xargs -r umount", timeout=300)


def arguments(cell: Cell) -> dict[str, object]:
    """Return the request of carry_out.py for a cell."""
    case, kind = cell.case, cell.case.storage.kind
    stored = f"{LOCAL}/{cell.name}" if kind == "local" else f"{STORED}/{cell.variant}/{cell.name}"
    mounted = stored if kind == "local" else f"{MOUNTED}/{kind}/{cell.variant}/{cell.name}"
    squash = case.storage.squash
    stored_agent = squash.map_ids(cell.agent) if squash else cell.agent
    return {
        "name": cell.name,
        "stored": stored,
        "mounted": mounted,
        "owner": [case.tree.owner.uid, case.tree.owner.gid],
        "mode": case.tree.mode,
        "host": [case.host.uid, case.host.gid],
        "groups": sorted(case.groups),
        "agent": [cell.agent.uid, cell.agent.gid],
        "stored_agent": [stored_agent.uid, stored_agent.gid],
        "chown_by": case.chown_by,
    }
