"""Requests and replies of the entries of this room; the reply about the image is in image_state.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Optional

from files.pods.common.protocol import HostUser, Reply, Request
from files.pods.service.protocol import Health
from files.pods.source.skill_documents import AppliedSkills


@dataclass(frozen=True)
class ImageRequest(Request):
    """The agent image."""

    entry: ClassVar[str] = "source.agent_image"
    image: str
    root: str
    uid: int
    gid: int
    record: str


@dataclass(frozen=True)
class CheckoutRequest(HostUser, Request):
    """The checkout of a project root."""

    entry: ClassVar[str] = "source.checkout"
    root: str
    repository: str
    ref: str
    decides_owner: bool
    """Whether this machine decides who owns a root on NFS."""
    onecli: Optional[str]
    """ONECLI_URL of the service's environment."""
    peek: bool
    """Whether a commit that is not here is fetched aside to see what it needs."""


@dataclass(frozen=True)
class Needs:
    """What its files say that it needs."""

    version: str
    """The version that package.json names."""
    node: Optional[str]
    """The range of Node's versions in package.json's engines."""
    sqlite: Optional[int]
    """The major version of better-sqlite3."""
    api: bool
    """Whether its OneCLI has to serve /v1."""
    gateway: bool
    """Whether it has the contract of a gateway, and no gateway."""
    marker: bool
    """Whether it starts only with a marker of the upgrade (scripts/upgrade-state.ts)."""
    skills: tuple[str, ...] = ()
    """The gateways and channels that its own setup can apply."""
    slug: bool = False
    """Whether it names its service and image after its checkout (src/install-slug.ts)."""
    driver: bool = False
    """Whether it starts agents by a session driver (src/drivers)."""


@dataclass(frozen=True)
class DatabaseCopy:
    """A copy of data/v2.db that was made before a move."""

    file: str
    version: str
    made: float


@dataclass(frozen=True)
class DatabaseState:
    """The central database, data/v2.db, as this version sees it."""

    there: bool
    error: str
    newer: list[str]
    """Migrations that were applied and that this version does not know."""
    copy: Optional[DatabaseCopy]
    """The newest copy of which it knows all migrations."""


@dataclass(frozen=True)
class PreviousCheckout:
    """A checkout that the role has neither made nor moved nor built, and that is to move."""

    version: Optional[str]
    """The version that package.json of its commit names."""
    ref: str
    """The tag of that version, if it is checked out; else the commit."""


@dataclass(frozen=True)
class VersionState:
    """What `files/pods/source/version_state.py` says."""

    needs: Optional[Needs] = None
    """None where its files are not on this machine yet."""
    unmarked: str = ""
    """Why its marker must be set, once it is checked out."""
    lock_changed: Optional[bool] = None
    """Whether the agents' dependencies (container/agent-runner/bun.lock) are others than before."""
    container_changed: Optional[bool] = None
    """Whether container/, from which the agent image is built, is another than before."""
    health: Optional[Health] = None
    """None where it was not asked: no /v1 is needed, ONECLI_URL is not set, or nothing moves."""
    database: Optional[DatabaseState] = None
    previous: Optional[PreviousCheckout] = None
    """None where nothing moves, or the role has been there before."""
    applied: Optional[AppliedSkills] = None
    """What the role has applied to the checkout."""
    setup: tuple[str, ...] = ()
    """What NanoClaw's own setup has committed on top of the commit that is checked out, and a move leaves behind."""
    stubs: bool = False
    """Whether data/onecli has credential stubs, and the version mounts them into agents."""
    fetched: Optional[str] = None
    """The version to come, where only that is known: the host user cannot read another user's previous checkout."""


@dataclass(frozen=True)
class RepositoryState:
    """The repository of a project root, by git."""

    foreign: list[str]
    """What a project root without a checkout holds that would be mixed up with one (the first of it)."""
    remote: Optional[str]
    """The URL of the remote named origin, without what may be a password."""
    commit: Optional[str]
    """What is checked out."""
    desired: Optional[str]
    """The commit to check out; None where it is not known, or only after a fetch."""
    unresolved: Optional[str]
    """Why that commit is not known."""
    changed: list[str]
    """Files that are changed here and differ in the desired commit, as far as it was fetched."""


@dataclass(frozen=True)
class BuildState:
    """The source of the next build, and of the last one."""

    pnpm_pin: Optional[str]
    """The version of pnpm that the project asks for."""
    pnpm_digest: Optional[str]
    """The digest of that pnpm, where the project names one: sha512.HEX."""
    pnpm: Optional[str]
    """The version of pnpm that the machine has."""
    tools_missing: bool
    """Whether a dependency may have to be compiled and there is no compiler."""
    built: Optional[dict[str, Any]]
    """What was built last, as the build wrote it down; `finished` in it is when, by this machine's clock."""
    source: dict[str, Optional[str]]
    """What would be built now: commit, lock, package, node."""
    outputs: bool
    """Whether dist/index.js and node_modules are there."""


@dataclass(frozen=True)
class CheckoutState(BuildState, RepositoryState, Reply):
    """The checkout of a project root."""

    request = CheckoutRequest

    git: bool
    """Whether the machine has git; without it a repository cannot be looked into."""
    link: bool
    """Whether the project root is a symbolic link."""
    owners: dict[str, Optional[tuple[int, int]]]
    """Who owns ".", "data" and ".git" in the project root; empty on NFS where the server decides that."""
    pnpm_in_the_way: bool = False
    """Whether something has pnpm's name that npm did not install, such as corepack's."""
    npm_path: Optional[str] = None
    """The PATH with which root's npm is the host user's, where root finds another Node or npm."""
    node: Optional[str] = None
    """The version of Node that builds it."""
    leftovers: tuple[str, ...] = ()
    """Files of fixed names in /tmp that the owner of the checkout has, where that is another user than the host's."""
    version: VersionState = field(default_factory=VersionState)
    """What the version that is to run needs of the machine."""


@dataclass(frozen=True)
class Work(HostUser):
    """What every entry has that works in a project root, as the host user."""

    root: str
    lock: str
    """The run's lock file."""


@dataclass(frozen=True)
class FetchRequest(Work, Request):
    """A repository to create, and a commit to fetch."""

    entry: ClassVar[str] = "source.fetch"
    repository: str
    ref: str
    fetch: bool
    """Whether there is something to fetch."""
    mounts: list[str]
    """Mount points that must be mounted."""
    decides_owner: bool
    """Whether this machine decides who owns a root on NFS."""
    unit: str
    """NanoClaw's."""


@dataclass(frozen=True)
class SwitchRequest(Work, Request):
    """A commit that was fetched."""

    entry: ClassVar[str] = "source.switch_commit"
    ref: str
    stash: Optional[str]
    """The message of the stash that takes local changes; None where there are none."""


@dataclass(frozen=True)
class BuildRequest(Work, Request):
    """A build, and the source that its stamp records."""

    entry: ClassVar[str] = "source.build"
    source: dict[str, Optional[str]]


@dataclass(frozen=True)
class MarkerRequest(Work, Request):
    """NanoClaw's marker of an upgrade."""

    entry: ClassVar[str] = "source.upgrade_marker"


@dataclass(frozen=True)
class BuildImageRequest(Work, Request):
    """The agent image that the checkout builds."""

    entry: ClassVar[str] = "source.build_image"


@dataclass(frozen=True)
class RestoreRequest(Work, Request):
    """A copy of the central database that replaces it."""

    entry: ClassVar[str] = "source.restore_database"
    unit: str
    file: str
    """The name of the copy."""
