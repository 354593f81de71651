"""The checkout of NanoClaw and its build: the current state, and how it differs from the plan."""

from dataclasses import dataclass, field
from typing import Any

from files.pods.common.protocol import Reply
from files.pods.source.protocol import CheckoutRequest
from tasks.model.access.identity import NOBODY
from tasks.model.fleet.first_look import ask_hosts
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.owners import can_chown_on_export
from tasks.model.versions.version_needs import VersionState, version_problems


@dataclass(frozen=True)
class CheckoutState(Reply):
    """What `files/pods/source/checkout.py` says of a project root."""

    request = CheckoutRequest

    git: bool
    """Whether the machine has git; without it a repository cannot be looked into."""
    link: bool
    """Whether the project root is a symbolic link."""
    owners: dict[str, tuple[int, int] | None]
    """Who owns ".", "data" and ".git" in the project root; empty on NFS where the server decides that."""
    foreign: list[str]
    """What a project root without a checkout holds that would be mixed up with one (the first of it)."""
    remote: str | None
    """The URL of the remote named origin, without what may be a password."""
    commit: str | None
    """What is checked out."""
    desired: str | None
    """The commit to check out; None where it is not known, or only after a fetch."""
    unresolved: str | None
    """Why that commit is not known."""
    changed: list[str]
    """Files that are changed here and differ in the desired commit, as far as it was fetched."""
    pnpm_pin: str | None
    """The version of pnpm that the project asks for."""
    pnpm_digest: str | None
    """The digest of that pnpm, where the project names one: sha512.HEX."""
    pnpm: str | None
    """The version of pnpm that the machine has."""
    tools_missing: bool
    """Whether a dependency may have to be compiled and there is no compiler."""
    built: dict[str, Any] | None
    """What was built last, as the build wrote it down; `finished` in it is when, by this machine's clock."""
    source: dict[str, str | None]
    """What would be built now: commit, lock, package, node."""
    outputs: bool
    """Whether dist/index.js and node_modules are there."""
    pnpm_in_the_way: bool = False
    """Whether something has pnpm's name that npm did not install, such as corepack's."""
    npm_path: str | None = None
    """The PATH with which root's npm is the host user's, where root finds another Node or npm."""
    node: str | None = None
    """The version of Node that builds it."""
    leftovers: tuple[str, ...] = ()
    """Files of fixed names in /tmp that the owner of the checkout has, where that is another user than the host's."""
    version: VersionState = field(default_factory=VersionState)
    """What the version that is to run needs of the machine."""


def checkout_problem(current: CheckoutState, plan: HostPlan) -> str | None:
    """Return why the checkout cannot be brought to the plan, and the way out."""
    root, settings = plan.root, plan.settings
    if current.link:
        return f"{root} is a symbolic link, and NanoClaw needs the real path: set nanoclaw_root to that"
    if ".git" in current.foreign:
        return (
            f"{root}/.git is no directory: {root} is a linked worktree or a submodule (git-worktree(1)), and NanoClaw "
            f"needs a repository of its own. Make one with git clone --no-local {root} DIRECTORY, and set "
            "nanoclaw_root to that"
        )
    if current.foreign:
        return (
            f"{root} is no git checkout and holds {', '.join(current.foreign)}: move that away, or set nanoclaw_root "
            "to another directory"
        )
    if current.unresolved:
        return (
            f"nanoclaw_ref {settings.nanoclaw_ref} is not known from {without_password(settings.nanoclaw_repository)}: "
            f"{current.unresolved}; correct nanoclaw_ref or nanoclaw_repository, or make it reachable (a tag or commit "
            "that is checked out already needs no network)"
        )
    if current.commit and moves(current) and not same_repository(current.remote, settings.nanoclaw_repository):
        return (
            f"{root} was checked out from {current.remote} and {settings.nanoclaw_ref} is of another "
            f"repository: set nanoclaw_repository to {current.remote}, or run git -C {root} remote set-url origin URL"
        )
    if current.changed and settings.nanoclaw_local_changes == "keep":
        return (
            f"{settings.nanoclaw_ref} changes files that were changed on this machine: {', '.join(current.changed)}; "
            f'commit them in {root}, or set nanoclaw_local_changes to "stash" to stash them'
        )
    return "; ".join(version_problems(current.version, plan, current.node)) or None


def moves(current: CheckoutState) -> bool:
    """Whether another commit must be checked out."""
    return current.commit is None or current.commit != current.desired


def checkout_drift(current: CheckoutState, plan: HostPlan) -> list[str]:
    """Return how the checkout differs from the plan; nothing for a finished one."""
    drift = []
    if moves(current):
        drift.append(f"{(current.commit or 'nothing')[:12]} is checked out, not {plan.settings.nanoclaw_ref}")
    if current.commit and not same_repository(current.remote, plan.settings.nanoclaw_repository):
        drift.append(f"the remote origin is {current.remote or 'missing'}, and nothing else differs: it is set")
    ids = (plan.host_ids.uid, plan.host_ids.gid)
    for path, owner in current.owners.items():
        if owner != ids and not (owner is None and path == ".git"):
            drift.append(f"{plan.root}/{path}: owner {owner and '{}:{}'.format(*owner)}, not {plan.host_ids}")
    return drift


def previous_owners(current: CheckoutState, plan: HostPlan) -> frozenset[int]:
    """Return the uids that a checkout of another user is chowned from (files/pods/source/fetch.py)."""
    before = current.owners.get(".git")
    return frozenset({before[0], 0, NOBODY, plan.host_ids.uid}) if before else frozenset()


def build_drift(current: CheckoutState) -> list[str]:
    """Return why NanoClaw must be built; nothing if the current source is built."""
    if current.built is None:
        return ["there is no finished build"]
    drift = [
        f"{name} was {str(current.built.get(name))[:12]}, is {str(now)[:12]}"
        for name, now in current.source.items()
        if current.built.get(name) != now
    ]
    return drift if current.outputs else [*drift, "dist/index.js or node_modules is missing"]


def same_repository(one: str | None, other: str) -> bool:
    """Whether two git URLs name one repository, whatever stands at their end and before the @."""
    return one is not None and _bare(one) == _bare(other)


def without_password(url: str) -> str:
    """A git URL without what may be a password."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def _bare(url: str) -> str:
    return without_password(url).rstrip("/").removesuffix(".git")


@ask_hosts(CheckoutState)
def checkout_request(plan: HostPlan, *, peek: bool = False) -> CheckoutRequest:
    """What a host is asked about its checkout.

    + peek: whether a commit that is not there yet is looked at as well
    """
    settings = plan.settings
    return CheckoutRequest(
        root=plan.root,
        **plan.host_user,
        repository=settings.nanoclaw_repository,
        ref=settings.nanoclaw_ref,
        gives=can_chown_on_export(plan),
        onecli=settings.nanoclaw_environment.get("ONECLI_URL"),
        peek=peek,
    )
