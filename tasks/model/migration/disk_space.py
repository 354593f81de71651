"""The disk space that a migration needs, by file system, and the time for its copies."""

from dataclasses import dataclass

from files.pods.transition.protocol import SpaceNeed
from files.pods.v1.v1_state import Install, Space, Tree
from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.system_paths import STATE_DIRECTORY

_BLOCK = 4096
"""Most that a file's last block takes beside its bytes, and each directory."""
_RESERVE = 64 << 20
_NOTHING = Tree("there", 0, 0, {}, {})
_LOCAL, _NETWORK = (200 << 20, 5000), (60 << 20, 500)
"""Assumed rate of a copy, in bytes and entries a second: to a disk of the host, and to an NFS server."""


@dataclass(frozen=True)
class Need(SpaceNeed):
    """The space that one file system must have free, and has."""

    free: int | None
    """None if unknown: nothing is mounted there yet."""
    free_entries: int | None

    @property
    def fits(self) -> bool:
        """Return whether there is enough space, as far as it is known."""
        bytes_fit = self.free is None or self.bytes <= self.free
        return bytes_fit and (self.free_entries is None or self.entries <= self.free_entries)


def needs(install: Install, spaces: list[Space], host: HostPlan, *, staged: bool = False) -> tuple[Need, ...]:
    """Return the space that each file system must have free.

    Groups and sessions go to the pods, `store` to the project root, and the backup of its database to STATE_DIRECTORY.
    v1 keeps its files, so v2 needs all of it a second time, unless it is staged already.
    """
    trees = dict.fromkeys(install.trees, _NOTHING) if staged else install.trees
    store, others = trees["store"], (trees["groups"], trees["data"])
    at = {host.root: [store], STATE_DIRECTORY: [store]}
    at.setdefault(host.root if host.root_on_pods else host.settings.pods_path, []).extend(others)
    by_path = {space.path: space for space in spaces}
    by: dict[object, list[str]] = {}
    for path in at:
        space = by_path.get(path)
        by.setdefault(path if space is None or space.device is None else space.device, []).append(path)
    return tuple(
        Need(
            tuple(paths),
            sum(tree.bytes + _BLOCK * (tree.entries + 1) for path in paths for tree in at[path]) + _RESERVE,
            sum(tree.entries + 1 for path in paths for tree in at[path]),
            by_path[paths[0]].bytes if paths[0] in by_path else None,
            by_path[paths[0]].entries if paths[0] in by_path else None,
        )
        for paths in by.values()
    )


def copy_seconds(install: Install, host: HostPlan) -> int:
    """Estimate the time of the copies, at assumed rates."""
    bytes_a_second, entries_a_second = _NETWORK if host.source else _LOCAL
    trees = install.trees.values()
    return sum(tree.bytes for tree in trees) // bytes_a_second + sum(tree.entries for tree in trees) // entries_a_second
