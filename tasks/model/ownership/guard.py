"""The guard: the service that chowns new sessions to the agent where the host process is root."""

import hashlib
import json
import re

from files.pods.guard.protocol import GuardRequest, GuardState, WatchedTreeRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.nfs.mount_unit import mount_points
from tasks.model.ownership.trees import host_trees
from tasks.model.systemd_names import UNITS, unit_name
from tasks.model.templates import render

PROGRAMS = "/usr/local/lib/nanoclaw-pods"
"""The directory of the guard's program."""
UNIT_PREFIX = "pods-guard-"

SWEEP_SECONDS = 60
FLOOD = 1000
"""Events a second from one agent's directories; beyond that they are ignored until the next sweep."""

WATCHED: tuple[tuple[list[str], list[str]], ...] = (
    (["*"], ["*/*", "*/*/inbox", "*/*/outbox", "*/.claude-shared/skills"]),
    ([], ["*", "*/.claude-fragments", "*/memory", "*/plugin-data"]),
)
"""For sessions and for groups: the directories below the root that the host process writes in, alone and with agents.
Message directories are too many to watch: the guard rescans each shortly after its creation."""


def guard_unit(plan: HostPlan) -> str:
    """Return the name of the guard's unit: no nanoclaw in front, for NanoClaw disables failed user units named so."""
    return f"{UNIT_PREFIX}{plan.slug}.service"


def unit_file(plan: HostPlan) -> str:
    """Return the path of the guard's unit."""
    return f"{UNITS}/{guard_unit(plan)}"


def program_file(program: bytes) -> str:
    """Return the path of a version of the guard's program: its name has a digest, so it is written once."""
    return f"{PROGRAMS}/guard-{hashlib.sha256(program).hexdigest()[:12]}.pyz"


def command_line(plan: HostPlan, program: bytes) -> list[str]:
    """Return the argv of the guard: it names what to watch, and a digest of its unit."""
    trees = []
    for tree, (hosts, shared) in zip((tree.request() for tree in host_trees(plan)), WATCHED, strict=True):
        ids = (tree.uid, tree.gid, tree.uids, tree.gids)
        trees.append(WatchedTreeRequest(tree.path, tree.within, *ids, hosts, shared))
    request = GuardRequest(SWEEP_SECONDS, FLOOD, trees, hashlib.sha256(_unit(plan, "").encode()).hexdigest()[:12])
    document = json.dumps(request.document(), sort_keys=True)
    return ["/usr/bin/python3", "-I", program_file(program), request.entry, document]


def unit_text(plan: HostPlan, program: bytes) -> str:
    """Return the text of the guard's unit. Paths hold no character that is special to systemd or JSON."""
    *argv, arguments = command_line(plan, program)
    return _unit(plan, f"{' '.join(argv)} '{arguments.replace('%', '%%').replace('$', '$$')}'")


def _unit(plan: HostPlan, command: str) -> str:
    mounts = " ".join(unit_name(path) for path in mount_points(plan))
    paths = (
        f"{plan.settings.pods_path} {plan.sessions} {plan.groups}" if plan.source else f"{plan.sessions} {plan.groups}"
    )
    written = plan.settings.pods_path if plan.root_on_pods else f"{plan.sessions} {plan.groups}"
    return render(
        "units/pods-guard.service",
        plan=plan,
        paths=paths,
        mounts=mounts,
        command=command,
        written=written,
        in_home=bool(re.search(r"(^| )/(home|root|run/user)(/| |$)", f"{paths} {written}")),
    )


def steps(state: GuardState, plan: HostPlan, program: bytes) -> frozenset[str]:
    """Return the steps that bring the guard to its plan: program, unit, reload, enable, restart."""
    due = set()
    if state.program != hashlib.sha256(program).hexdigest():
        due.add("program")
    if state.unit != unit_text(plan, program):
        due |= {"unit", "reload", "enable"}  # its mounts may have changed
    if state.needs_reload:
        due.add("reload")
    if not state.enabled:
        due.add("enable")
    if not state.active or state.running != command_line(plan, program):
        due.add("restart")
    return frozenset(due)
