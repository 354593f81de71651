"""A machine before anything is done to it: the reply of machine.preflight."""

from __future__ import annotations

from dataclasses import dataclass, field

from files.pods.common.protocol import Reply
from files.pods.machine.protocol import AccountState, PreflightRequest


@dataclass(frozen=True)
class MountPoint:
    """A path that something is mounted at (proc(5), mountinfo)."""

    path: str
    type: str
    source: str
    addresses: list[str]
    """Of its server, which the source may name."""


@dataclass(frozen=True)
class IdState:
    """Who has a number on a machine, as uid and as gid."""

    id: int
    user: str | None
    group: str | None
    person: str | None
    """The account with it as uid that somebody can log in to."""


@dataclass(frozen=True)
class Place:
    """A path on a machine."""

    real: str
    """The path without links."""
    names: list[str] | None
    """The first names in it; None where it is missing."""


@dataclass(frozen=True)
class Places:
    """What a machine says of the paths that host data names."""

    paths: dict[str, Place | None] = field(default_factory=dict)
    """None for a path on a network mount, which is not examined."""
    marked: list[str] = field(default_factory=list)
    """Files of the role's that say that it made a place."""


@dataclass(frozen=True)
class MachineState(Reply):
    """A machine as it is found."""

    request = PreflightRequest

    uid: int
    """The uid that the role's commands run as; they need 0."""
    python: tuple[int, int]
    distribution: str
    """ID of os-release(5)."""
    version: str
    """VERSION_ID of os-release(5)."""
    hostname: str
    systemd: bool
    """Whether systemd is the init of the machine (sd_booted(3))."""
    protected_hardlinks: int | None
    """What its kernel allows of hard links (proc_sys_fs(5)); None where it does not say."""
    mounts: list[MountPoint]
    """What is mounted at the paths asked for, oldest first."""
    beneath: dict[str, list[str] | None]
    """The first names in each path that nothing is mounted on; None where something is, or it does not exist."""
    account: AccountState | None
    """The host user, of a host."""
    person: str | None
    """The account with the agent's uid, of a host, if somebody can log in to it."""
    free: dict[str, int | None]
    """Bytes free for each directory; None on a network mount, which is not asked."""
    identity: str = ""
    """What is different for each running machine; empty where it does not say."""
    addresses: list[str] = field(default_factory=list)
    """Those that others can reach."""
    places: Places = field(default_factory=Places)
    barred: dict[str, str] = field(default_factory=dict)
    """For a path, the first directory above it that the host user cannot enter."""
    ids: list[IdState] = field(default_factory=list)
    """Of the numbers that a host user may take, in the order asked for, until enough of them are free."""
    driver: bool | None = None
    """Whether what is checked out starts agents by a session driver; None where nothing is, or on a network mount."""
