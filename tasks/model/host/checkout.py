"""The checkout of NanoClaw and its build: the current state, and how it differs from the plan."""

from dataclasses import replace

from files.pods.source.protocol import CheckoutRequest, CheckoutState, VersionState
from tasks.model.access.identity import NOBODY
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.owners import can_chown_on_export
from tasks.model.versions.session_driver import driver_problem
from tasks.model.versions.skills import left_behind
from tasks.model.versions.version_needs import version_problems


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
    if moves(current) and (left := left_behind(plan, current.version)):
        return left
    problems = version_problems(current.version, plan, current.node)
    if current.version.needs and (other := driver_problem(current.version.needs, plan)):
        problems.append(other)
    return "; ".join(problems) or None


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


def without_move(current: CheckoutState) -> CheckoutState:
    """Return the state as it is for the commit that is checked out: another one comes by a change of version."""
    return replace(current, desired=current.commit, unresolved=None, changed=[], version=VersionState())


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
        decides_owner=can_chown_on_export(plan),
        onecli=plan.onecli,
        peek=peek,
    )
