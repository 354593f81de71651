"""The ids with which the kernel or server checks a process's permissions. The sources of the rules:

+ exports(5) "User ID Mapping": whom a server maps to whom. Capabilities follow the id that is left (nfsd_setuser).
+ rpc.mountd(8) --manage-gids: the server's own group lists replace the client's; nfs(5): 16 groups travel at most.
+ RFC 1813 4.4, nfsd's NFSD_MAY_OWNER_OVERRIDE: a file's owner may read and write it whatever its mode, since NFSv3 has
  no open and a process may hold the file open since before a chmod. Nothing here relies on it: it counts for files and
  not for directories, files are made 0644, with which an owner may both anyway, and each action opens anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.model.access.identity import IdentityError, Ids, Squash, check_id, check_word

FileSystem = Literal["local", "nfs3", "nfs4"]
_MOST_GROUPS = 16


@dataclass(frozen=True)
class Node:
    """A directory or a file: its owner where it is stored, and its mode."""

    owner: Ids
    mode: int

    def __post_init__(self) -> None:
        if not 0 <= self.mode <= 0o7777:
            raise IdentityError(f"mode {self.mode:o} does not exist: modes go from 0 to 7777")

    def __str__(self) -> str:
        return f"{self.owner} {self.mode:04o}"


@dataclass(frozen=True)
class Process:
    """A process of the machine that mounts: its ids and supplementary groups."""

    name: str
    ids: Ids
    groups: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for gid in self.groups:
            check_id("gid", gid)

    def rights(self, node: Node) -> tuple[int, str]:
        """Return the three bits of the mode that count for this process (path_resolution(7)), and their class."""
        if self.ids.uid == node.owner.uid:
            return node.mode >> 6 & 7, "its owner"
        if node.owner.gid in {self.ids.gid, *self.groups}:
            return node.mode >> 3 & 7, "its group"
        return node.mode & 7, "others"


@dataclass(frozen=True)
class Storage:
    """A file system and, where it is on a server, how that maps ids."""

    kind: FileSystem
    squash: Squash | None = None
    """None on a local file system, and where it is not known."""
    server_groups: Mapping[int, frozenset[int]] | None = None
    """With manage-gids, the groups of each uid that the server knows; None where the client's groups count."""
    broken_mapping: bool = False
    """Whether both sides map ids by name (nfs4_disable_idmapping=N) and their domains differ."""

    def __post_init__(self) -> None:
        check_word("file system", self.kind, FileSystem)
        for uid, groups in (self.server_groups or {}).items():
            check_id("uid", uid)
            for gid in groups:
                check_id("gid", gid)

    def acting(self, process: Process) -> Process:
        """Return the ids and groups that permissions are checked with."""
        if self.kind == "local" or self.squash is None:
            return process
        known = self.server_groups
        sent = sorted(process.groups)[:_MOST_GROUPS] if known is None else known.get(process.ids.uid, frozenset())
        if self.squash.maps == "all":
            groups: frozenset[int] = frozenset()
        else:
            mapped = {0: self.squash.anonymous.gid} if self.squash.maps == "root" else {}
            groups = frozenset(mapped.get(gid, gid) for gid in sent)
        return Process(process.name, self.squash.map_ids(process.ids), groups)

    def says(self, process: Process) -> str:
        """Describe the ids that a process acts with."""
        acting = self.acting(process)
        if acting.ids == process.ids or self.squash is None:
            return f"{process.name} acts as {process.ids}"
        return f"the server maps {process.name} ({process.ids}) to {acting.ids} ({self.squash.options()[0]})"
