"""How much space a migration needs and where, and how long its copies take."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import STATE_DIRECTORY
from tasks.model.migration.v1_state import Install, Space, Tree

_BLOCK = 4096
"""What the last piece of each file takes at most beside its bytes, and each directory."""
_RESERVE = 64 << 20
_NOTHING = Tree("there", 0, 0, {}, {})
_LOCAL, _NETWORK = (200 << 20, 5000), (60 << 20, 500)
"""Bytes and entries a second that are assumed for a copy: to a disk of the host, and to an NFS server."""


@dataclass(frozen=True)
class Need:
    """What one file system has to have free."""

    paths: tuple[str, ...]
    bytes: int
    entries: int
    free: int | None
    """None where it is not known: nothing is mounted there yet."""
    free_entries: int | None

    @property
    def fits(self) -> bool:
        """Whether there is room, as far as it is known."""
        bytes_fit = self.free is None or self.bytes <= self.free
        return bytes_fit and (self.free_entries is None or self.entries <= self.free_entries)


def needs(install: Install, spaces: list[Space], host: HostPlan, *, staged: bool = False) -> tuple[Need, ...]:
    """What each file system has to have free.

    Groups and sessions go to the pods, `store` to the project root, and the backup of its database to STATE_DIRECTORY.
    v1 keeps its own, so that all of it is needed a second time; where it is staged it is there already.
    """
    trees = dict.fromkeys(install.trees, _NOTHING) if staged else install.trees
    store, others = trees["store"], (trees["groups"], trees["data"])
    at = {host.root: [store], STATE_DIRECTORY: [store]}
    at.setdefault(host.root if host.root_on_pods else host.settings.pods_path, []).extend(others)
    found = {space.path: space for space in spaces}
    by: dict[object, list[str]] = {}
    for path in at:
        space = found.get(path)
        by.setdefault(path if space is None or space.device is None else space.device, []).append(path)
    return tuple(
        Need(
            tuple(paths),
            sum(tree.bytes + _BLOCK * (tree.entries + 1) for path in paths for tree in at[path]) + _RESERVE,
            sum(tree.entries + 1 for path in paths for tree in at[path]),
            found[paths[0]].bytes if paths[0] in found else None,
            found[paths[0]].entries if paths[0] in found else None,
        )
        for paths in by.values()
    )


def copy_seconds(install: Install, host: HostPlan) -> int:
    """Roughly, at rates that are assumed and not measured."""
    bytes_a_second, entries_a_second = _NETWORK if host.source else _LOCAL
    trees = install.trees.values()
    return sum(tree.bytes for tree in trees) // bytes_a_second + sum(tree.entries for tree in trees) // entries_a_second
