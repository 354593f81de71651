"""What an NFS server exports, and to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact


@dataclass(frozen=True)
class Directory:
    """A path that is to be an export directory."""

    kind: Literal["directory", "other"]
    uid: int
    gid: int
    mode: str


@dataclass(frozen=True)
class ExportState:
    """The NFS server of a machine."""

    dropin: str | None
    """The text of the role's drop-in in /etc/exports.d."""
    conf: str | None
    """The text of the role's drop-in in /etc/nfs.conf.d."""
    table: list[list[str]]
    """The table in force, an entry being [path, client, option…]."""
    elsewhere: list[list[str]]
    """What other files define, an entry being [file, path, client]."""
    directories: dict[str, Directory | None]
    active: bool
    enabled: bool
    versions: list[str]
    """NFS versions as the running server shows them: +4.2, -3 (nfsd(7), /proc/fs/nfsd/versions)."""


class Exports(ProgramFact[ExportState]):
    """The export table in force and in files, and the server that serves it."""

    program = "exports"
    document = ExportState

    def command(self, dropin: str, conf: str, directories: list[str]) -> StringCommand:
        return self.ask(dropin=dropin, conf=conf, directories=directories)
