"""A NanoClaw v1: the reply of v1.inspect.

Others chose the names in it; they are printable. It has no secrets: of .env, only names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from files.pods.common.protocol import Reply
from files.pods.v1.protocol import InspectRequest
from files.pods.v1.running_state import Running

Kind = Literal["v1", "v2", "no database", "absent"]


@dataclass(frozen=True)
class Candidate:
    """A directory that may be a NanoClaw v1."""

    path: str
    by: list[str]
    """What names it: a setting, a unit, a process, a pid file."""
    kind: Kind
    trusted: bool = True
    """Whether root or the host user names it; any other user could have planted it, so it is only listed."""


@dataclass(frozen=True)
class Group:
    """A chat that v1 answers in, and its folder."""

    folder: str
    jid: str
    """The chat: v1's name for it."""
    main: bool
    """Whether it is the group of the operator; its agent has more permissions."""
    direct: Optional[bool]
    """Whether the chat is between two; None where v1 did not know."""
    mounts: list[str]
    """Directories of the host that its agent mounts beside its own."""


@dataclass(frozen=True)
class Task:
    """A scheduled task, without its prompt."""

    folder: str
    jid: str
    kind: str
    """cron, interval or once."""
    value: str
    """A cron expression, milliseconds, or a time."""
    status: str
    """active, paused or completed."""
    direct: Optional[bool]


@dataclass(frozen=True)
class Database:
    """store/messages.db. Groups, tasks and sessions are known where it was read."""

    state: Literal["read", "missing", "corrupt", "foreign", "unread"]
    """foreign: one that is not v1's; unread: why is in `text`."""
    text: str
    bytes: int
    wal: int
    """Bytes of a write-ahead log beside it."""
    journal: int
    """Bytes of a rollback journal beside it."""
    uid: int
    """Its owner."""
    is_main: bool
    """Whether its schema has the column is_main (NanoClaw 1.2.0 and later)."""
    checked: bool
    """Whether it was checked to the end (PRAGMA quick_check)."""
    groups: list[Group]
    tasks: list[Task]
    sessions: list[str]
    """Folders with a current conversation in v1's table sessions."""


TreeState = Literal["there", "absent", "link", "no directory", "unreadable"]


@dataclass(frozen=True)
class Tree:
    """store, groups or data, from one walk that follows no link and enters no other file system."""

    state: TreeState
    bytes: int
    entries: int
    counts: dict[str, int]
    """link, special, unreadable, in the way; in groups also, below a group's: .git, node_modules, memory, logs."""
    samples: dict[str, list[str]]


@dataclass(frozen=True)
class Senders:
    """The sender allow-list; v1 lets everybody in where it is not valid."""

    path: str
    read: bool
    """Whether root could read it; an unread list is not known to let anybody in."""
    valid: bool
    everybody: bool
    """Whether its default lets everybody in."""
    chats: int
    """Chats with a rule of their own."""


@dataclass(frozen=True)
class Mounts:
    """The mount allow-list."""

    path: str
    read: bool
    """Whether it is a file that root could read."""
    valid: bool
    roots: int


@dataclass(frozen=True)
class Home:
    """A home in which v1 may look for its allow-lists."""

    path: str
    plain: bool
    """Whether the path has only printable characters."""
    by: str
    """What names it: a setting, a unit, a process, a pid file."""
    alike: int
    """Homes with the same number have the same allow-lists, or none."""
    senders: Optional[Senders]
    mounts: Optional[Mounts]


@dataclass(frozen=True)
class Owner:
    """The owner of the project root."""

    uid: int
    gid: int
    user: Optional[str]


@dataclass(frozen=True)
class Files:
    """The files of an install, beside its database. Of .env, only names."""

    version: Optional[str]
    folders: list[str]
    """Directories in groups."""
    conversations: dict[str, int]
    """How many there are for a folder, where there are any."""
    auth: int
    """Files in store/auth: the WhatsApp pairing."""
    skills: list[str]
    """Directories in container/skills."""
    env: Optional[list[str]]
    """Entries of .env: a name, or "line 7" if the name could be part of a value. None if .env is a link or no file."""
    env_unread: list[int]
    """Lines of .env that NanoClaw does not read, by their numbers."""


@dataclass(frozen=True)
class Contents(Files):
    """The data of an install."""

    homes: list[Home]
    """Where v1 may look for its allow-lists; the first is the likeliest."""
    database: Database
    trees: dict[str, Tree]
    elsewhere: list[str]
    """Other file systems mounted in it, which were not inspected."""


@dataclass(frozen=True)
class Install(Contents, Running):
    """A NanoClaw v1."""

    path: str
    owner: Owner

    @property
    def home(self) -> Optional[str]:
        """Return the home with v1's allow-lists."""
        return self.homes[0].path if self.homes else None

    @property
    def senders(self) -> Optional[Senders]:
        """Return the sender allow-list."""
        return self.homes[0].senders if self.homes else None

    @property
    def mounts(self) -> Optional[Mounts]:
        """Return the mount allow-list."""
        return self.homes[0].mounts if self.homes else None


@dataclass(frozen=True)
class Space:
    """Free space where v2 goes; all None if that is not mounted yet."""

    path: str
    device: Optional[int]
    bytes: Optional[int]
    entries: Optional[int]


@dataclass(frozen=True)
class V1State(Reply):
    """The NanoClaw v1 of a machine."""

    request = InspectRequest

    candidates: list[Candidate]
    unseen: list[str]
    """Mounts with homes that were not inspected, because their server did not answer."""
    error: Optional[str]
    """Why the inspection did not finish."""
    install: Optional[Install]
    """The one v1 among the candidates."""
    spaces: list[Space]
