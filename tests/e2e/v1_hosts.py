"""Hosts of the lab on which a NanoClaw v1 runs, each installed in its own way, with all that makes one hard to move."""

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
class Old:
    """The v1 of a host."""

    root: str
    version: Version
    how: How
    account: str
    on_nfs: bool = False


OLD = {
    "host-root": Old("/root/nanoclaw", "1.2.53", "system", "root"),
    "host-1000": Old("/home/andy/nanoclaw", "1.2.0", "user", "andy"),
    "host-1500": Old("/srv/claw", "1.1.6", "system", "root"),
    "host-1500-2": Old("/mnt/old/claw", "1.2.53", "system", "root", on_nfs=True),
}


def old_of(name: str) -> Old:
    """The v1 of a host: its own, or that of its kind."""
    return OLD.get(name) or OLD[kind_of(name)]


def install_v1(fleet: Fleet, name: str, folder: Path) -> None:
    """A v1 that runs on a host of the lab, with all that makes one hard to move."""
    old, machine = old_of(name), fleet.lab[name]
    if old.on_nfs:
        _mount(fleet, name)
    make_tree(folder / name, old.version, TRAITS, folder / f"home-{name}")
    if old.account != "root":
        machine.succeed(f"useradd --create-home --shell /bin/bash --uid 2001 --groups docker {old.account}")
    v1_standin.put_tree(machine, old.root, folder / name, old.account)
    lists = folder / f"home-{name}" / ".config"
    home = machine.succeed(f"getent passwd {old.account} | cut -d: -f6").strip()
    v1_standin.put_tree(machine, f"{home}/.config", lists, old.account)
    v1_standin.install(machine, old.root, old.version, old.how, old.account)


def _mount(fleet: Fleet, name: str) -> None:
    """An export and an fstab line of an operator's own, which the role knows nothing of."""
    server, machine = fleet.lab["server"], fleet.lab[name]
    line = f"/srv/old {machine.address}(rw,sync,no_subtree_check,no_root_squash)\n"
    server.put("/etc/exports.d/old.exports", line)
    server.succeed("mkdir -p /srv/old && systemctl enable --now nfs-server.service && exportfs -ra")
    machine.put("/etc/fstab", f"{server.address}:/srv/old /mnt/old nfs vers=4.2,hard,_netdev 0 0\n")
    machine.succeed("mkdir -p /mnt/old && systemctl daemon-reload && mount /mnt/old")
