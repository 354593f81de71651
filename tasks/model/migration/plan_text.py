"""The plan of a migration as text for the operator."""

from collections.abc import Iterator

from files.pods.v1.v1_state import Install, V1State
from tasks.model.migration.disk_space import Need
from tasks.model.migration.plan import MigrationPlan
from tasks.model.migration.plan_item import Disposition, counted, listed

_HEADS: dict[Disposition, str] = {
    "migrated": "migrated by NanoClaw's own steps",
    "needs_fix": "fixed up by this role",
    "skipped": "skipped",
}


def size(number: int) -> str:
    """Format a number of bytes: `5.0 GiB`."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f} {unit}"
    return f"{number} bytes"


def render(state: V1State, install: Install, plan: MigrationPlan) -> Iterator[str]:
    """Yield the plan's lines: the v1, the disposition of each part, space and time."""
    yield "plan of its migration to v2:"
    owner = install.owner
    user = f"of {owner.user or 'an unknown user'} ({owner.uid}:{owner.gid})"
    yield f"NanoClaw v1 {install.version or 'of unknown version'} in {install.path}, {user}, {_running(install)}"
    for text in _unknown(state, install):
        yield f"unknown: {text}"
    for disposition, head in _HEADS.items():
        for item in plan.of(disposition):
            yield f"{head}: {item.what}" + (f"; {item.why}" if item.why else "")
    trees = ", ".join(f"{name} {size(tree.bytes)}" for name, tree in install.trees.items())
    yield f"size: {trees}, {sum(tree.entries for tree in install.trees.values())} entries"
    for need in plan.needs:
        yield f"space: {_need(need)}"
    yield f"time: {duration(plan.seconds)} for copies, at assumed rates"


def _running(install: Install) -> str:
    units = [
        f"{unit.manager} unit {unit.name} ({unit.active}, {'enabled' if unit.enabled else 'disabled'})"
        for unit in install.units
    ]
    loose = [str(one.pid) for one in install.processes if not any(one.is_of(unit) for unit in install.units)]
    parts = units + [f"process {pid} outside of services" for pid in loose]
    agents = f", {counted(len(install.containers), 'agent')} running" if install.containers else ""
    return (", ".join(parts) or "not running, no unit of it was found, so what starts it is unknown") + agents


def _unknown(state: V1State, install: Install) -> Iterator[str]:
    if install.strangers:
        yield f"why units of users that may not write v1 name it {listed(install.strangers)}; they are ignored"
    if others := [one.path for one in state.candidates if not one.trusted]:
        yield f"installs that only other users' files name {listed(others)}; they were not inspected"
    if install.containers is None:
        yield "which agents run, because Docker did not answer"
    if not install.database.checked:
        yield "whether all of messages.db is sound, because it is too large to check here"
    if state.unseen:
        yield f"whether homes have units for it {listed(state.unseen)}, because their server does not answer"


def _need(need: Need) -> str:
    free = "unknown before it is mounted" if need.free is None else f"{size(need.free)} free"
    return f"{size(need.bytes)} for {' and '.join(need.paths)}, {free}"


def duration(seconds: int) -> str:
    """Format an estimated time: `about 5 minutes`."""
    if seconds < 60:
        return "less than a minute"
    return f"about {counted(round(seconds / 60), 'minute')}"
