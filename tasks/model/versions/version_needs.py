"""What the version of NanoClaw that is to run needs of its machine: what was found, and why it cannot run there.

All of it is read from the files of the version, never from its tag.
"""

from files.pods.service.protocol import Health
from files.pods.source.protocol import DatabaseCopy, DatabaseState, Needs, PreviousCheckout, VersionState
from tasks.model.fleet.plan import HostPlan
from tasks.model.versions.lowest_version import migrates, too_old
from tasks.model.versions.node_range import accepts
from tasks.model.versions.onecli_stubs import stub_problem
from tasks.model.versions.skills import skill_problems
from tasks.model.versions.version_order import is_later

SQLITE_13_NODE = ">=22.14.0"
"""better-sqlite3 13 is built for Node-API 10: an older Node ends with a segmentation fault at the first database."""


def version_problems(state: VersionState, plan: HostPlan, node: str | None) -> list[str]:
    """Why the version cannot run on this machine, each with the way out; nothing where its files are not known yet.

    + node: the version of Node that builds it, if there is one yet
    """
    needs, ref = state.needs, plan.settings.nanoclaw_ref
    problems = direction_problems(state, plan)
    if needs is None:
        return problems
    problems += skill_problems(plan, needs)
    if problem := stub_problem(state, plan):
        problems.append(problem)
    if node and (refusal := _node_refused(needs, node)):
        problems.append(
            f"{ref} ({needs.version}) needs Node {refusal}, and this machine has {node}. Install another, or set "
            'nanoclaw_node to "nodesource" and nanoclaw_node_versions to what it needs'
        )
    if problem := health_problem(state.health, f"{ref} ({needs.version})"):
        problems.append(problem)
    if problem := _database_problem(state.database, plan, needs):
        problems.append(problem)
    return problems


def direction_problems(state: VersionState, plan: HostPlan) -> list[str]:
    """Why the version is too low, each with the way out: for the role, or for a checkout that it adopts."""
    needs, ref = state.needs, plan.settings.nanoclaw_ref
    old = too_old(ref, needs.version, slug=needs.slug, migrate=migrates(plan)) if needs else None
    lower = _lower(state.previous, plan, needs.version if needs else state.fetched)
    return [problem for problem in (old, lower) if problem]


def _lower(previous: PreviousCheckout | None, plan: HostPlan, version: str | None) -> str | None:
    """Why a NanoClaw that the role has not installed stays at its version; None where it may move, or is not known.

    + version: the one to come
    """
    if previous is None or version is None or plan.settings.nanoclaw_newer_database == "keep":
        return None
    later = is_later(previous.version, version)
    if later is False:
        return None
    what = f"{plan.root} has NanoClaw {previous.version or 'of an unknown version'}, which this role did not install"
    compared = "is earlier" if later else "may be earlier"
    return (
        f"{what}, and {plan.settings.nanoclaw_ref} ({version}) {compared}: set nanoclaw_ref to {previous.ref}, "
        'which is checked out there, or nanoclaw_newer_database to "keep" to go down'
    )


def _node_refused(needs: Needs, node: str) -> str | None:
    ranges = [needs.node or "*", *([SQLITE_13_NODE] if (needs.sqlite or 0) >= 13 else [])]
    return " and ".join(one for one in ranges if accepts(one, node) is False) or None


def health_problem(health: Health | None, what: str) -> str | None:
    """Why agents of a version would get no credentials; None where OneCLI serves /v1, or none was asked."""
    if health is None or health.status == 200:
        return None
    request = f"GET {health.place}/v1/health (ONECLI_URL)"
    if health.status == 404:
        return f"{what} needs a OneCLI that serves /v1, and {request} answers 404: update OneCLI, then run again"
    outcome = f"answers {health.status}" if health.status else f"fails: {health.error}"
    problem = f"{what} gets its credentials from OneCLI, and {request} {outcome}"
    return f"{problem}: no agent would answer. Start it, then run again"


def _database_problem(state: DatabaseState | None, plan: HostPlan, needs: Needs) -> str | None:
    path = f"{plan.root}/data/v2.db"
    if state is None:
        return None
    if state.error:
        return f"{path} cannot be read ({state.error}), so no copy of it can be made: correct that, then run again"
    if not state.newer or plan.settings.nanoclaw_newer_database == "keep":
        return None
    named = ", ".join(state.newer[:5])
    what = f"{path} was migrated by a later version than {plan.settings.nanoclaw_ref} ({needs.version}): {named}"
    if state.copy is None:
        return f"{what}. There is no copy from before that, and new chats would fail: set nanoclaw_ref to that version"
    if plan.settings.nanoclaw_newer_database == "restore":
        return None
    return (
        f"{what}. New chats would fail: set nanoclaw_ref to that version, or nanoclaw_newer_database to "
        f'"restore" to go back to the copy of {state.copy.version}'
    )


def restores(state: VersionState, plan: HostPlan) -> DatabaseCopy | None:
    """The copy of the database that is to take the place of one that a later version has migrated."""
    if plan.settings.nanoclaw_newer_database != "restore" or state.database is None or not state.database.newer:
        return None
    return state.database.copy


def version_notes(state: VersionState, plan: HostPlan, commit: str | None) -> list[str]:
    """What a move to the version does beside the checkout: for the operator, before it is done.

    + commit: what is checked out, if anything is
    """
    ref = plan.settings.nanoclaw_ref
    if state.needs is None:
        return [f"what {ref} needs (Node, OneCLI, a gateway, the database) is known once it is fetched"]
    notes = []
    if commit and state.database and state.database.there:
        notes.append(f"{plan.root}/data/v2.db is copied before {ref} is checked out")
    if state.needs.marker:
        notes.append(f"the marker of the upgrade to {state.needs.version} is set after the build")
    if state.needs.api and state.health is None:
        notes.append(f"{ref} needs a OneCLI that serves /v1; ONECLI_URL is not set yet, so no request was made")
    if state.health:
        notes.append(f"GET {state.health.place}/v1/health answers {state.health.status}")
    if state.lock_changed and plan.settings.nanoclaw_image != "build":
        notes.append(f"container/agent-runner/bun.lock differs in {ref}: build {plan.image} from that version too")
    return notes
