"""The NFS server of a machine: the reply of nfs.exports."""

from __future__ import annotations

from dataclasses import dataclass, field

from files.pods.common.protocol import Place, Reply
from files.pods.nfs.protocol import ExportsRequest


@dataclass(frozen=True)
class ExportState(Reply):
    """The NFS server of a machine. Paths and clients are in one spelling, a directory of the role in the role's."""

    request = ExportsRequest

    dropin: str | None
    """The text of the role's drop-in in /etc/exports.d."""
    conf: str | None
    """The text of the role's drop-in in /etc/nfs.conf.d."""
    table: list[list[str]]
    """The table in force, entries of path, client and options."""
    elsewhere: list[list[str]]
    """What other files define, entries of file, path and client."""
    directories: dict[str, Place]
    active: bool
    enabled: bool
    versions: list[str]
    """NFS versions as the running server shows them: +4.2, -3 (nfsd(7), /proc/fs/nfsd/versions)."""
    own: list[list[str]] = field(default_factory=list)
    """What the role's drop-in defines, whoever wrote it there, entries of path and client."""
    real: dict[str, str] = field(default_factory=dict)
    """Where each of the role's directories leads to."""
    roots: list[list[str]] = field(default_factory=list)
    """Entries in force with fsid=0, entries of path and client."""
    clients: list[str] | None = field(default_factory=list)
    """The addresses of connected clients; None where the kernel has no list."""
    mounted: list[list[str]] = field(default_factory=list)
    """What mountd wrote down of clients with NFSv3, entries of path and client."""
    threads: int = 0
    """Of the kernel's server, whoever started it."""
    v3: bool | None = None
    """What nfs.conf(5) says of NFSv3, all files read; None where no file does."""
    v3_files: list[tuple[str, bool | None]] = field(default_factory=list)
    """The files of /etc/nfs.conf.d that say so, and the place of the role's, in the order in which they are read."""
    basis: str = ""
    """A digest of nfs.conf(5) and of the command line of rpc.nfsd(8)."""
    tried: str | None = None
    """The `basis` with which a restart did not bring the versions that were wanted."""
