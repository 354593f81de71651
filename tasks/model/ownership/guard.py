"""The guard: the service that gives new sessions to the agent where the host makes them as root."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

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
"""Events a second from what one agent can write, beyond which it is not listened to until a sweep."""

WATCHED: tuple[dict[str, list[str]], ...] = (
    {"hosts": ["*"], "shared": ["*/*", "*/*/inbox", "*/*/outbox", "*/.claude-shared/skills"]},
    {"hosts": [], "shared": ["*", "*/.claude-fragments"]},
)
"""Of sessions and of groups: the directories below the root that the host process writes in, alone or with agents. Not
those of messages, of which there is no end: each is looked at again a moment after it was made."""


@dataclass(frozen=True)
class GuardState:
    """The guard as it is on a machine."""

    program: str | None
    """SHA-256 of the program."""
    older: list[str]
    """Paths of other versions of the program."""
    unit: str | None
    """The text of the unit."""
    enabled: bool
    active: bool
    needs_reload: bool
    """Whether systemd has read another text than the one that is there (NeedDaemonReload)."""
    running: list[str]
    """The command line of the main process."""
    others: list[str]
    """Guards' units of other project roots."""


def guard_unit(plan: HostPlan) -> str:
    """The name of the guard's unit. NanoClaw disables failed units that begin with nanoclaw, if they are a user's."""
    return f"{UNIT_PREFIX}{plan.slug}.service"


def unit_file(plan: HostPlan) -> str:
    """Where the guard's unit lies."""
    return f"{UNITS}/{guard_unit(plan)}"


def program_file(program: bytes) -> str:
    """Where a version of the guard's program lies: named by its digest, it is written once."""
    return f"{PROGRAMS}/guard-{hashlib.sha256(program).hexdigest()[:12]}.pyz"


def command_line(plan: HostPlan, program: bytes) -> list[str]:
    """What the guard's process is: what it watches, and a digest of the unit that it was started from."""
    trees = [
        {**{key: getattr(tree.request(), key) for key in ("path", "within", "uid", "gid", "uids", "gids")}, **watched}
        for tree, watched in zip(host_trees(plan), WATCHED, strict=True)
    ]
    arguments: dict[str, object] = {"sweep": SWEEP_SECONDS, "flood": FLOOD, "trees": trees}
    arguments["version"] = hashlib.sha256(_unit(plan, "").encode()).hexdigest()[:12]
    return ["/usr/bin/python3", "-I", program_file(program), "guard.main", json.dumps(arguments, sort_keys=True)]


def unit_text(plan: HostPlan, program: bytes) -> str:
    """The guard's unit. Paths hold no character that systemd or JSON would read as anything else."""
    *words, arguments = command_line(plan, program)
    return _unit(plan, f"{' '.join(words)} '{arguments.replace('%', '%%').replace('$', '$$')}'")


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
    """What is to be done for the guard to run as it should: among program, unit, reload, enable and restart."""
    found = set()
    if state.program != hashlib.sha256(program).hexdigest():
        found.add("program")
    if state.unit != unit_text(plan, program):
        found |= {"unit", "reload", "enable"}  # it may want to be started with other mounts
    if state.needs_reload:
        found.add("reload")
    if not state.enabled:
        found.add("enable")
    if not state.active or state.running != command_line(plan, program):
        found.add("restart")
    return frozenset(found)
