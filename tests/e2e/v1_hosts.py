"""Hosts of the lab that run NanoClaw v1, each installed in another way, with everything that is hard to migrate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.fleet import Fleet, kind_of
from tests.lab import v1_standin
from tests.lab.v1_schema import Version
from tests.lab.v1_standin import How
from tests.lab.v1_tree import make_tree

GATE = ["node", "dist/chat.js", "--timeout", "200", "are you there?"]
TRAITS = (
    *("whatsapp", "telegram", "interval", "tasks", "link", "git", "mounts", "orphan", "conversations", "silent"),
    "skill",
)


@dataclass(frozen=True)
class V1Host:
    """How v1 is installed on a host."""

    root: str
    version: Version
    how: How
    account: str
    on_nfs: bool = False


V1_HOSTS = {
    "host-root": V1Host("/root/nanoclaw", "1.2.53", "system", "root"),
    "host-1000": V1Host("/home/andy/nanoclaw", "1.2.0", "user", "andy"),
    "host-1500": V1Host("/srv/claw", "1.1.6", "system", "root"),
    "host-1500-2": V1Host("/mnt/old/claw", "1.2.53", "system", "root", on_nfs=True),
}


def v1_of(name: str) -> V1Host:
    """Return how v1 is installed on a host: its own entry, or that of its kind."""
    return V1_HOSTS.get(name) or V1_HOSTS[kind_of(name)]


def install_v1(fleet: Fleet, name: str, folder: Path) -> None:
    """Install and start a v1 on a host of the lab, with everything that is hard to migrate."""
    v1, machine = v1_of(name), fleet.lab[name]
    if v1.on_nfs:
        _mount(fleet, name)
    make_tree(folder / name, v1.version, TRAITS, folder / f"home-{name}")
    if v1.account != "root":
        machine.succeed(f"useradd --create-home --shell /bin/bash --uid 2001 --groups docker {v1.account}")
    v1_standin.put_tree(machine, v1.root, folder / name, v1.account)
    lists = folder / f"home-{name}" / ".config"
    home = machine.succeed(f"getent passwd {v1.account} | cut -d: -f6").strip()
    v1_standin.put_tree(machine, f"{home}/.config", lists, v1.account)
    v1_standin.install(machine, v1.root, v1.version, v1.how, v1.account)


def _mount(fleet: Fleet, name: str) -> None:
    """Add an export and an fstab line that the role does not know, as an operator would."""
    server, machine = fleet.lab["server"], fleet.lab[name]
    line = f"/srv/old {machine.address}(rw,sync,no_subtree_check,no_root_squash)\n"
    server.put("/etc/exports.d/old.exports", line)
    server.succeed("mkdir -p /srv/old && systemctl enable --now nfs-server.service && exportfs -ra")
    machine.put("/etc/fstab", f"{server.address}:/srv/old /mnt/old nfs vers=4.2,hard,_netdev 0 0\n")
    machine.succeed("mkdir -p /mnt/old && systemctl daemon-reload && mount /mnt/old")
