"""Requests and replies of the entries of this room; more replies are in mount_state.py and export_state.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Optional, Union

from files.pods.common.ids import Ids
from files.pods.common.protocol import Reply, Request

Backend = Literal["nft", "iptables"]

EXPORT_OPTIONS = {
    "rw": ("ro", "rw"),
    "sync": ("sync", "async"),
    "no_subtree_check": ("no_subtree_check", "subtree_check"),
    "sec=sys": ("sec=sys", "sec"),
    "secure": ("secure", "insecure"),
}
"""Options of every export, exports(5), in order; for each what holds if etab does not name the second, and that one."""


@dataclass(frozen=True)
class FirewallRequest(Request):
    """The rules that keep containers from the NFS server."""

    entry: ClassVar[str] = "nfs.container_firewall"
    table: str
    chain: str
    rules: dict[str, str]
    """The file of the rules, by backend."""
    unit: str
    unit_file: str
    dropin: str
    """The drop-in of docker.service."""
    nftables: str
    """The drop-in of nftables.service."""
    ipv6: bool


@dataclass(frozen=True)
class FirewallState(Reply):
    """The rules of a machine, their unit, and the drop-ins."""

    request = FirewallRequest

    backend: Optional[Backend]
    """What the kernel and the tools support; None: neither."""
    tools: bool
    """Whether there is a tool to list rules; one comes with the packages of the NFS client."""
    rules: Optional[str]
    unit: Optional[str]
    active: bool
    enabled: bool
    needs_reload: bool
    """The unit, docker.service or nftables.service has files that systemd has not read."""
    dropin: Optional[str]
    """Docker's."""
    nftables: Optional[str]
    """The drop-in of nftables.service."""
    nft: list[dict[str, Any]]
    """`nft -j list table`, where there is one."""
    iptables: dict[str, list[str]]
    """The lines of --list-rules (table mangle) that name the role's chain, by the legacy tools that work here."""


@dataclass(frozen=True)
class ExportsRequest(Request):
    """Files of an NFS server, and directories that it exports."""

    entry: ClassVar[str] = "nfs.exports"
    dropin: str
    conf: str
    tried: str
    directories: list[str]


@dataclass(frozen=True)
class ExportChangeRequest(Request):
    """A drop-in that changes. Standard input has the ExportChange."""

    entry: ClassVar[str] = "nfs.exports"
    change: str
    """The path of the drop-in."""


@dataclass(frozen=True)
class ExportChange:
    """What a drop-in and the export table must become."""

    text: str
    before: Optional[str]
    """The SHA-256 of the present drop-in; None where there is none."""
    desired: list[list[str]]
    """Entries in force: path, client and options."""
    removed: list[tuple[str, str]]
    """Path and client of entries that go."""


@dataclass(frozen=True)
class MountsRequest(Request):
    """The mounts of a host."""

    entry: ClassVar[str] = "nfs.mounts"
    pods: str
    binds: list[tuple[str, str]]
    """Source and target."""
    units: dict[str, str]
    """The unit of each path."""
    stamp: str
    tried: str


@dataclass(frozen=True)
class ObserveRequest(Request):
    """An export of a server that the role does not manage."""

    entry: ClassVar[str] = "nfs.observe_export"
    address: str
    path: str
    version: str
    transport: str
    """A netid."""
    places: list[str]
    """Directories of the export, in the order to try them."""
    host: tuple[int, int]
    agent: tuple[int, int]
    seconds: int


Actor = Literal["host", "agent", "root"]


@dataclass(frozen=True)
class ServerObservation(Reply):
    """How a server treats the host process, the agent and root."""

    request = ObserveRequest

    state: str
    """`seen`, or the name of the error for which nothing was observed: ETIMEDOUT, EACCES (not exported to us), …"""
    text: str
    made: dict[Actor, Union[list[int], str]]
    """The owner of what each of them created, or the errno for which it could create nothing."""
    chown: Optional[str]
    """The errno of root's chown of a directory to the agent; None where root may, see `directory_made`."""
    directory_made: bool
    """Whether there was a directory to chown."""
    mount_point: Optional[str]
    """The errno with which root was refused a directory in one of the agent's; None where it may."""
    left: list[str]

    def ids(self, actor: Actor) -> Optional[Ids]:
        """Return the ids that the server acts with for this actor, where that was observed."""
        made = self.made.get(actor)
        return Ids(*made) if isinstance(made, list) else None


@dataclass(frozen=True)
class MountUnit:
    """A mount unit (systemd.mount(5))."""

    unit: str
    path: str


@dataclass(frozen=True)
class MountServer:
    """The NFS server of a mount."""

    address: str
    port: int
    path: str


@dataclass(frozen=True)
class ApplyMountsRequest(Request):
    """Mounts to start, remount or cycle."""

    entry: ClassVar[str] = "nfs.apply_mounts"
    cycle: bool
    """Whether to stop the service and the agents of this install, and unmount all of `mounts`."""
    mounts: list[MountUnit]
    """In mount order."""
    start: list[str]
    """Units."""
    remount: list[list[str]]
    """The argv of each remount."""
    server: Optional[MountServer]
    service: str
    """The unit of the service."""
    install: str
    """The slug of the install."""
    lazy: bool
    """Whether to unmount by force."""


@dataclass(frozen=True)
class FlushRequest(Request):
    """The kernel's caches of files, and the file that names the export that they were flushed for."""

    entry: ClassVar[str] = "nfs.flush_caches"
    flush: bool
    stamp: str
    content: str


@dataclass(frozen=True)
class DirectoriesRequest(Request):
    """Directories of the pods."""

    entry: ClassVar[str] = "nfs.make_directories"
    pods: str
    mounted: bool
    """Whether something must be mounted at `pods`."""
    paths: list[str]
    owner: Optional[tuple[int, int]]
    """None where the server decides who owns a new directory."""
    creator: Optional[tuple[int, int]] = None
    """The host process, which creates a directory where root may chown nothing."""


@dataclass(frozen=True)
class SealRequest(Request):
    """Mount points."""

    entry: ClassVar[str] = "nfs.seal_mount_point"
    paths: list[str]
    root: Optional[str]
    """The directory from which on missing parents belong to `owner`; others are root's."""
    owner: tuple[int, int]
