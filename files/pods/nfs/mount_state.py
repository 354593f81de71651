"""The mounts of a machine: the reply of nfs.mounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from files.pods.common.protocol import Reply
from files.pods.nfs.protocol import MountsRequest


@dataclass(frozen=True)
class Mount:
    """One line of /proc/self/mountinfo (proc(5))."""

    source: str
    type: str
    root: str
    """The directory of the file system that is mounted."""
    options: list[str]
    """Those of the mount and those of its file system, as the kernel shows them."""
    remote: bool = False
    """Whether it may wait for a server, as every network file system does."""


@dataclass(frozen=True)
class Beneath:
    """The directory that a mount covers, or would cover, in the file system that its parent is on."""

    kind: Literal["absent", "directory", "link", "other", "remote", "unknown"]
    """remote: the parent is a network file system itself, and is not looked into."""
    detail: str = ""
    """For link and other: which path; for unknown: why."""
    immutable: bool | None = None
    """None where the file system has no such flag."""
    entries: tuple[str, ...] = ()
    """Names in it, at most 20."""


@dataclass(frozen=True)
class Point:
    """The path of a current or desired mount point."""

    mounts: list[Mount]
    """Those at the path itself, the covering one last."""
    answer: Literal["ok", "stale", "silent", "absent", "error"]
    """The result of stat(2) on the path, with a deadline; `silent`: nothing in time."""
    beneath: Beneath
    identity: str | None = None
    """The device and inode at the path, where it answered."""
    detail: str | None = None
    """The error, where it answered with one."""


@dataclass(frozen=True)
class Unit:
    """A mount unit, as its file and systemd have it."""

    text: str | None
    active: str
    enabled: bool
    needs_reload: bool


@dataclass(frozen=True)
class FstabLine:
    """A line of /etc/fstab for one of the paths."""

    line: str
    source: str
    path: str
    options: list[str]
    addresses: list[str]
    """What the server's name stands for on this machine."""


@dataclass(frozen=True)
class MountState(Reply):
    """Everything that the operations on mounts decide from."""

    request = MountsRequest

    points: dict[str, Point]
    units: dict[str, Unit]
    fstab: list[FstabLine]
    stamp: str | None
    tried: str | None
    """The differences that mounting anew did not remove, if that was so."""
    base: Mount | None
    """The mount that the pods' path lies on: its own, or the one of a local directory."""
    base_root: str
    """The pods' path as seen from the root of that mount's file system."""
    sources: dict[str, str | None]
    """The directories of the pods to bind, with their identity where they are there."""
