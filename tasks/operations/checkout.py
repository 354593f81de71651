"""NanoClaw's checkout and its build, as the host user."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import OperationError

from tasks.command import run_program
from tasks.facts.checkout import Checkout
from tasks.model.checkout import CheckoutState, build_drift, checkout_drift, checkout_problem, moves
from tasks.model.place import gives_on_pods
from tasks.model.plan import HostPlan
from tasks.operations.base import Commands, look, pods_operation
from tasks.operations.foresight import foresee, foreseen
from tasks.operations.packages import apt_install, apt_update
from tasks.report import log, show_diff


def _user(plan: HostPlan) -> dict[str, Any]:
    return {"root": plan.root, "user": plan.settings.nanoclaw_user, "uid": plan.host.uid, "gid": plan.host.gid}


def _worker(plan: HostPlan) -> dict[str, Any]:
    return {**_user(plan), "lock": plan.lock}


def _look(plan: HostPlan) -> CheckoutState:
    settings = plan.settings
    return look(
        Checkout,
        **_user(plan),
        repository=settings.nanoclaw_repository,
        ref=settings.nanoclaw_ref,
        gives=gives_on_pods(plan),
    )


def _look_and_refuse(plan: HostPlan) -> CheckoutState:
    found = _look(plan)
    if problem := checkout_problem(found, plan):
        raise OperationError(problem)
    return found


@pods_operation
def checkout(plan: HostPlan) -> Commands:
    """Checks out nanoclaw_ref in the project root, with no branch (git-checkout(1), --detach).

    Owns: what is checked out, the URL of the remote origin, the owners of the project root, of data/ and, where it
    was another user's, of the checkout with all that is NanoClaw's own in it. Leaves alone: files changed on the
    machine, branches, sessions, groups.
    Changes: when another commit is checked out than the tag, branch or commit stands for. A tag or commit that is
    checked out already is not asked for again; a branch is, each time. What an interrupted run left is finished. A
    service that runs as another user than the new owner is stopped first; `host_service` starts it again.
    Errors: a project root that holds something else; another remote, if the commit differs too; files that are
    changed here and in the new commit, unless nanoclaw_local_changes is "stash": then git stash keeps them.

    + plan: the host's plan
    """
    found = _look_and_refuse(plan)
    settings = plan.settings
    drift = checkout_drift(found, plan)
    if not drift:
        host.noop(f"{settings.nanoclaw_ref} is checked out ({(found.commit or '')[:12]})")
        return
    if moves(found):
        foresee("source")
    show_diff(plan.root, None, "".join(f"{line}\n" for line in drift))
    points = [target for _source, target in plan.binds] or ([settings.pods_path] if plan.source else [])
    repository = {"repository": settings.nanoclaw_repository, "ref": settings.nanoclaw_ref}
    gives = {"gives": gives_on_pods(plan), "unit": plan.unit}
    yield run_program("fetch_source", {**_worker(plan), **repository, **gives, "mounts": points, "fetch": moves(found)})
    found = _look_and_refuse(plan)
    if not moves(found):
        return
    stash = f"nanoclaw-pods, {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC, before {settings.nanoclaw_ref}"
    yield run_program(
        "move_source",
        {**_worker(plan), "ref": settings.nanoclaw_ref, "stash": stash if found.changed else None},
    )
    if found.changed:
        log(
            f"all changes of the checkout were put aside, for {', '.join(found.changed)} is changed in "
            f"{settings.nanoclaw_ref} too: see git -C {plan.root} stash list"
        )


@pods_operation
def build(plan: HostPlan) -> Commands:
    """Installs NanoClaw's dependencies by its lock file and builds it, with the pnpm that its package.json names.

    Owns: node_modules, dist, .git/nanoclaw-pods-build (what was built, and when), and the machine's global pnpm.
    Leaves alone: npm's configuration, which says where packages come from.
    Changes: when the commit, package.json, the lock file or Node's major version is another than at the last build
    that ended well, when its outputs are missing, or when the machine's pnpm is another. Installs a compiler where
    the lock file names a package that may need one.

    + plan: the host's plan
    """
    found = _look(plan)
    drift = build_drift(found) or (["another source is going to be checked out"] if foreseen("source") else [])
    pnpm_differs = found.pnpm is None or (found.pnpm_pin is not None and found.pnpm != found.pnpm_pin)
    if not drift and not pnpm_differs:
        host.noop(f"{(found.commit or '')[:12]} is built")
        return
    if drift:
        foresee("build")
    show_diff(f"{plan.root}: build", None, "".join(f"{line}\n" for line in drift))
    if found.tools_missing:
        yield apt_update()
        yield apt_install("g++", "make")
    if pnpm_differs:
        if found.pnpm_pin is None and found.commit is not None:
            raise OperationError(
                f"{plan.root}/package.json names no packageManager pnpm@X.Y.Z, and this machine has no pnpm: install it"
            )
        arguments: dict[str, Any] = {"version": found.pnpm_pin, "digest": found.pnpm_digest}
        arguments |= {"force": True} if found.pnpm_in_the_way else {}
        arguments |= {"path": found.npm_path} if found.npm_path else {}
        yield run_program("install_pnpm", arguments)
        found = _look(plan)
        if found.pnpm != found.pnpm_pin:
            raise OperationError(
                f"pnpm {found.pnpm_pin} was installed, but the one that is found first is {found.pnpm}: remove that one"
            )
    if drift:
        yield run_program("build_source", {**_worker(plan), "source": found.source})
