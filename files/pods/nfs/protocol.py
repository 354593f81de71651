"""What the entries of this room are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from files.pods.common.protocol import Request


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
class ExportsRequest(Request):
    """Files of an NFS server, and directories that it exports."""

    entry: ClassVar[str] = "nfs.exports"
    dropin: str
    conf: str
    tried: str
    directories: list[str]


@dataclass(frozen=True)
class ExportChangeRequest(Request):
    """A drop-in that changes. Standard input has the change (files/pods/nfs/export_change.py)."""

    entry: ClassVar[str] = "nfs.exports"
    change: str
    """The path of the drop-in."""


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
