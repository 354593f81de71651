"""NanoClaw's checkout and build; git.repo moves the tree before anything of the new version can be checked."""

from datetime import datetime, timezone
from typing import Any

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from files.pods.machine.protocol import InstallPnpmRequest
from files.pods.source.protocol import (
    BuildRequest,
    CheckoutState,
    FetchRequest,
    MarkerRequest,
    RestoreRequest,
    SwitchRequest,
)
from tasks.command import run_request
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.checkout import (
    build_drift,
    checkout_drift,
    checkout_problem,
    checkout_request,
    moves,
    previous_owners,
    without_move,
)
from tasks.model.ownership.owners import can_chown_on_export
from tasks.model.versions.version_needs import restores, version_notes
from tasks.operations.base import Commands, lasting_operation, read_state
from tasks.operations.dry_run import is_pending, mark_pending, mark_pending_owner
from tasks.operations.packages import apt_install, apt_update
from tasks.report import log, say, show_reasons


def _work(plan: HostPlan) -> dict[str, Any]:
    return {"root": plan.root, "lock": plan.lock, **plan.host_user}


def _read_state(plan: HostPlan, *, move: bool, peek: bool = False) -> CheckoutState:
    current = read_state(CheckoutState, checkout_request(plan, peek=peek))
    return current if move else without_move(current)


def _checked_state(plan: HostPlan, *, move: bool) -> CheckoutState:
    # A check phase fetches nothing to the checkout, but says what the version needs; a run looks once it is fetched.
    current = _read_state(plan, move=move, peek=not state.is_executing)
    if problem := checkout_problem(current, plan):
        raise OperationError(problem)
    return current


@lasting_operation
def checkout(plan: HostPlan, *, move: bool = True) -> Commands:
    """Check out nanoclaw_ref in the project root, with no branch (git-checkout(1), --detach).

    Owns: what is checked out, the URL of the remote origin, the owners of the project root, of data/ and, where it
    was another user's, of the checkout with all that is NanoClaw's own in it; copies of data/v2.db in
    .git/nanoclaw-pods-database, made before each move. Leaves alone: files changed on the machine, branches, sessions,
    groups.
    Changes: when another commit is checked out than the tag, branch or commit stands for. A tag or commit that is
    checked out already is not asked for again; a branch is, each time. What an interrupted run left is finished. A
    service that runs as another user than the new owner is stopped first; `host_service` starts it again.
    Errors: a project root that holds something else; another remote, if the commit differs too; files that are
    changed here and in the new commit, unless nanoclaw_local_changes is "stash": then git stash keeps them. A version
    that is too old, or needs another Node, a OneCLI that serves /v1, or a gateway; a database that a later version has
    migrated, or a later version that the role has not installed, unless nanoclaw_newer_database says what becomes of
    it. All of that before a file is moved or the service touched.

    + move: whether another commit is checked out; if not, a change of version brings it (tasks/operations/version.py)
    """
    current = _checked_state(plan, move=move)
    settings = plan.settings
    drift, copy = checkout_drift(current, plan), restores(current.version, plan)
    if not drift and not copy:
        ref = settings.nanoclaw_ref if move else "what serves"
        host.noop(f"{ref} is checked out ({(current.commit or '')[:12]})")
        return
    if moves(current):
        mark_pending("source")
        for note in version_notes(current.version, plan, current.commit):
            say(note)
        if current.version.container_changed is not False:
            mark_pending("container")
    if current.owners.get(".git") not in (None, (plan.host_ids.uid, plan.host_ids.gid)):
        mark_pending_owner(previous_owners(current, plan), plan.host_ids)
    if copy:
        mark_pending("database")
        say(
            f"{plan.unit} stops, and data/v2.db goes back to its copy of {copy.version}; the present one is kept beside"
        )
    for path in current.leftovers:
        say(f"{path} of the former host user is removed; NanoClaw writes it again")
    show_reasons(plan.root, drift)
    points = [target for _source, target in plan.binds] or ([settings.pods_path] if plan.source else [])
    if drift:
        yield run_request(
            FetchRequest(
                **_work(plan),
                repository=settings.nanoclaw_repository,
                ref=settings.nanoclaw_ref,
                fetch=moves(current),
                mounts=points,
                decides_owner=can_chown_on_export(plan),
                unit=plan.unit,
            )
        )
        current = _checked_state(plan, move=move)
        copy = restores(current.version, plan)
    if moves(current):
        stash = f"nanoclaw-pods, {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC, before {settings.nanoclaw_ref}"
        yield run_request(
            SwitchRequest(**_work(plan), ref=settings.nanoclaw_ref, stash=stash if current.changed else None)
        )
        if current.changed:
            log(
                f"all local changes were stashed, because {settings.nanoclaw_ref} changes "
                f"{', '.join(current.changed)} too: see git -C {plan.root} stash list"
            )
    if copy:
        yield run_request(RestoreRequest(**_work(plan), unit=plan.unit, file=copy.file))


@lasting_operation
def build(plan: HostPlan, *, move: bool = True) -> Commands:
    """Install NanoClaw's dependencies by its lock file and build it, with the pnpm that its package.json names.

    Owns: node_modules, dist, .git/nanoclaw-pods-build (what was built, and when), the machine's global pnpm, and, where
    the version has scripts/upgrade-state.ts, the marker without which it does not start (data/upgrade-state.json).
    Leaves alone: npm's configuration, which says where packages come from.
    Changes: when the commit, package.json, the lock file or Node's major version is another than at the last build
    that ended well, when its outputs are missing, when the machine's pnpm is another, or when the marker is not of
    this commit. Installs a compiler where the lock file names a package that may need one.

    + move: as for `checkout`
    """
    current = _read_state(plan, move=move)
    drift = build_drift(current) or (["this run checks out another source"] if is_pending("source") else [])
    unmarked = current.version.unmarked
    pnpm_differs = current.pnpm is None or (current.pnpm_pin is not None and current.pnpm != current.pnpm_pin)
    if not drift and not pnpm_differs and not unmarked:
        host.noop(f"{(current.commit or '')[:12]} is built")
        return
    if drift:
        mark_pending("build")
    show_reasons(f"{plan.root}: build", drift)
    if unmarked:
        say(unmarked)
    if current.tools_missing:
        yield apt_update()
        yield apt_install("g++", "make")
    if pnpm_differs:
        if current.pnpm_pin is None and current.commit is not None:
            raise OperationError(
                f"{plan.root}/package.json names no packageManager pnpm@X.Y.Z, and this machine has no pnpm: install it"
            )
        in_the_way, path = current.pnpm_in_the_way, current.npm_path
        yield run_request(InstallPnpmRequest(current.pnpm_pin, current.pnpm_digest, in_the_way, path))
        current = _read_state(plan, move=move)
        if current.pnpm != current.pnpm_pin:
            raise OperationError(
                f"pnpm {current.pnpm_pin} was installed, but PATH has {current.pnpm} first: remove that one"
            )
    if drift:
        yield run_request(BuildRequest(**_work(plan), source=current.source))
    if unmarked or (drift and current.version.needs and current.version.needs.marker):
        yield run_request(MarkerRequest(**_work(plan)))
