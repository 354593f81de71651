"""The checkout of NanoClaw and its build: what was found, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from files.pods.source.protocol import CheckoutRequest
from tasks.model.access.identity import NOBODY
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.owners import can_chown_on_export
from tasks.model.versions.version_needs import VersionState, version_problems


@dataclass(frozen=True)
class CheckoutState:
    """What `files/pods/source/checkout.py` says of a project root."""

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
    wanted: str | None
    """The commit that is to be; None where it is not known, or only after a fetch."""
    unresolved: str | None
    """Why the wanted commit is not known."""
    changed: list[str]
    """Files that are changed here and differ in the wanted commit, as far as that has been fetched."""
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


def checkout_problem(found: CheckoutState, plan: HostPlan) -> str | None:
    """Why the checkout cannot become what is wanted, and the way out."""
    root, settings = plan.root, plan.settings
    if found.link:
        return f"{root} is a symbolic link, and NanoClaw's names follow from the real path: set nanoclaw_root to that"
    if ".git" in found.foreign:
        return (
            f"{root}/.git is no directory: {root} is a linked worktree or a submodule (git-worktree(1)), and NanoClaw "
            f"needs a repository of its own. Make one with git clone --no-local {root} DIRECTORY, and set "
            "nanoclaw_root to that"
        )
    if found.foreign:
        return (
            f"{root} is no git checkout and holds {', '.join(found.foreign)}: move that away, or set nanoclaw_root "
            "to another directory"
        )
    if found.unresolved:
        return (
            f"nanoclaw_ref {settings.nanoclaw_ref} is not known from {without_password(settings.nanoclaw_repository)}: "
            f"{found.unresolved}; correct nanoclaw_ref or nanoclaw_repository, or make it reachable (a tag or commit "
            "that is checked out already needs no network)"
        )
    if found.commit and moves(found) and not same_repository(found.remote, settings.nanoclaw_repository):
        return (
            f"{root} was checked out from {found.remote} and is to move to {settings.nanoclaw_ref} of another "
            f"repository: set nanoclaw_repository to {found.remote}, or run git -C {root} remote set-url origin URL"
        )
    if found.changed and settings.nanoclaw_local_changes == "keep":
        return (
            f"{settings.nanoclaw_ref} changes files that were changed on this machine: {', '.join(found.changed)}; "
            f'commit them in {root}, or set nanoclaw_local_changes to "stash" to have them put aside'
        )
    return "; ".join(version_problems(found.version, plan, found.node)) or None


def moves(found: CheckoutState) -> bool:
    """Whether another commit is to be checked out."""
    return found.commit is None or found.commit != found.wanted


def checkout_drift(found: CheckoutState, plan: HostPlan) -> list[str]:
    """What of the checkout is to be changed; nothing for a finished one."""
    drift = []
    if moves(found):
        drift.append(f"{(found.commit or 'nothing')[:12]} is checked out, {plan.settings.nanoclaw_ref} is wanted")
    if found.commit and not same_repository(found.remote, plan.settings.nanoclaw_repository):
        drift.append(f"the remote origin is {found.remote or 'missing'}, and only that differs: it is set")
    ids = (plan.host_ids.uid, plan.host_ids.gid)
    for path, owner in found.owners.items():
        if owner != ids and not (owner is None and path == ".git"):
            drift.append(f"{plan.root}/{path}: owner {owner and '{}:{}'.format(*owner)}, wanted {plan.host_ids}")
    return drift


def handed_over(found: CheckoutState, plan: HostPlan) -> frozenset[int]:
    """Whose files of a checkout of another user become the host user's (files/pods/source/fetch.py)."""
    before = found.owners.get(".git")
    return frozenset({before[0], 0, NOBODY, plan.host_ids.uid}) if before else frozenset()


def build_drift(found: CheckoutState) -> list[str]:
    """Why NanoClaw is to be built; nothing if it was built from what is there now."""
    if found.built is None:
        return ["it was not built yet, or not to the end"]
    drift = [
        f"{name} was {str(found.built.get(name))[:12]}, is {str(now)[:12]}"
        for name, now in found.source.items()
        if found.built.get(name) != now
    ]
    return drift if found.outputs else [*drift, "dist/index.js or node_modules is missing"]


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
