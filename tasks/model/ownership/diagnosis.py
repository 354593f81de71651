"""Find the cause of a failed probe, and the way out. A symptom has many causes, so the rules are in order."""

from collections.abc import Callable
from dataclasses import dataclass

from files.pods.probe.protocol import Observations, Step, Surveyed
from tasks.model.access.identity import NOBODY, Ids, Squash
from tasks.model.access.observed_squash import BROKEN_MAPPING
from tasks.model.access.session_lifecycle import Action, Case, live
from tasks.model.access.storage import Node, Storage
from tasks.model.access.strategy import CANNOT, obstacle
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.container_causes import (
    container,
    container_unfinished,
    image_missing,
    no_docker,
    wrong_id,
)


@dataclass(frozen=True)
class Finding:
    """Why an agent cannot work, and what to do."""

    cause: str
    text: str


def diagnose(probe: Observations, plan: HostPlan) -> Finding | None:
    """Return the cause of the first failure, or None where everything went well."""
    left = f"; scratch that could not be removed: {', '.join(probe.left)}" if probe.left else ""
    for rule in _RULES:
        text = rule(probe, plan)
        if text:
            return Finding(rule.__name__.strip("_").replace("_", " "), text + left)
    return Finding("scratch left", left.lstrip("; ")) if left else None


def summary(probe: Observations, plan: HostPlan) -> str:
    """Describe a verified host in one line; the lines of all hosts read as a table."""
    survey = probe.survey or Surveyed(0, 0, 0, [], [])
    guard = f" | guard took {probe.waited} s ({probe.guard_says})" if probe.waited is not None else ""
    flushed = " | after dropping remembered permissions" if probe.flushed else ""
    return (
        f"verified | {plan.strategy.name:6} | host {plan.host_ids} | agent {plan.agent} wrote in "
        f"{' and '.join(probe.relied)} | {survey.sessions} sessions, {survey.groups} groups writable"
        f"{'' if survey.complete else ' of those there was time for'}{guard}{flushed} | {probe.seconds} s"
    )


def _failed(probe: Observations, *errors: str) -> Step | None:
    return next((step for step in probe.steps if step.error in errors or (not errors and step.error)), None)


def _mount_missing(probe: Observations, plan: HostPlan) -> str | None:
    if not probe.missing:
        return None
    return f"nothing is mounted at {', '.join(probe.missing)}: see systemctl status of its mount unit, then run again"


def _server_silent(probe: Observations, plan: HostPlan) -> str | None:
    step = _failed(probe, "ETIMEDOUT")
    if step is None:
        return None
    return f"{step.what} ({step.who}) had {step.text}: {_server(plan)} does not answer, or very slowly"


def _read_only_mount(probe: Observations, plan: HostPlan) -> str | None:
    points = sorted({mount.point for mount in probe.mounts.values() if "ro" in mount.options})
    if points:
        return f"{', '.join(points)} is mounted read-only: mount it rw (mount -o remount,rw), and see dmesg for why"
    step = _failed(probe, "EROFS")
    return f"{_server(plan)} refuses writes ({step.text}): export it rw" if step else None


def _no_space(probe: Observations, plan: HostPlan) -> str | None:
    full = probe.space is not None and (probe.space.bytes == 0 or probe.space.inodes == 0)
    step = _failed(probe, "ENOSPC", "EDQUOT") or next((s for s in probe.steps if "disk is full" in s.text), None)
    if not full and step is None:
        return None
    kind = "inodes" if probe.space and probe.space.bytes and not probe.space.inodes else "space"
    if step and step.error == "EDQUOT":
        kind = f"quota of uid {plan.stored_agent.uid}"
    return f"no {kind} is left on {_server(plan)}: free some there"


def _id_mapping(probe: Observations, plan: HostPlan) -> str | None:
    by_name = bool(probe.id_mapping) and any(mount.type == "nfs4" for mount in probe.mounts.values())
    # Where the server maps the agent to nobody, new entries are nobody's although ids are mapped.
    lost = plan.stored_agent.uid != NOBODY and set(probe.created) == {(NOBODY, NOBODY)}
    return BROKEN_MAPPING if probe.chown == "EINVAL" or (by_name and lost) else None


def _squash(probe: Observations, plan: HostPlan) -> str | None:
    agent = plan.stored_agent
    for step in probe.steps:
        denied = step.error in ("EACCES", "EPERM")
        if denied and step.who == "host" and not probe.created:
            return (
                f"the host process ({plan.host_ids}) may not create a session in {plan.sessions} ({step.text}): "
                f"{_export(plan)}, or the directory is not {agent}'s"
                f"{_as_if(plan, 'host creates the session directory')}"
            )
        if denied and step.who == "dockerd":
            return (
                f"root may not create a mount point in a session directory, so that dockerd cannot start a container: "
                f"{_export(plan)}{_as_if(plan, 'dockerd makes the mount points')}"
            )
    if probe.chown == "EPERM":
        return f"root may not chown files: {_export(plan)}{_as_if(plan, 'guard chowns the tree to the agent')}"
    owners = probe.created if not plan.strategy.needs_guard else []
    if other := next((owner for owner in owners if owner[0] != agent.uid), None):
        return (
            f"what the host process creates belongs to {Ids(*other)} and not to the agent ({agent}): {_export(plan)}"
            f"{_as_if_made_by(plan, Ids(*other))}{_way_out(plan)}"
        )
    return None


def _guard(probe: Observations, plan: HostPlan) -> str | None:
    if probe.guard is None:
        return None
    return (
        f"the guard did not chown a new session to the agent ({plan.agent}) within {probe.waited} s; it is "
        f"{probe.guard or 'not there'} ({probe.guard_says}): see journalctl -u pods-guard-{plan.slug}"
    )


def _not_tried(probe: Observations, plan: HostPlan) -> str | None:
    """No failure is no proof: only what was done counts."""
    missing = [where for where in ("process", "container") if where not in probe.relied]
    return f"the agent ({plan.agent}) wrote nothing in its {' and '.join(missing)}: run again" if missing else None


def _owner(probe: Observations, plan: HostPlan) -> str | None:
    if step := next((step for step in probe.steps if step.error and step.who in ("agent", "container")), None):
        owners = ", ".join(str(Ids(*owner)) for owner in dict.fromkeys(probe.settled or probe.created))
        return f"the {step.who} ({plan.agent}) cannot {step.what}: {step.text}; a new session is {owners}'s"
    if step := _failed(probe):
        return f"the {step.who} cannot {step.what}: {step.text}"
    if probe.survey is None or not probe.survey.refused:
        return None
    names = ", ".join(
        f"{refused.path} ({Ids(*refused.owner) if refused.owner else refused.error})"
        for refused in probe.survey.samples
    )
    where = f"on {plan.server or _server(plan)}, " if plan.source and not plan.strategy.needs_guard else ""
    return (
        f"the agent ({plan.agent}) cannot write {probe.survey.refused} existing entries ({names}); "
        f"{where}run chown -h {plan.stored_agent} on them if they are NanoClaw's"
    )


def _hot_journal(probe: Observations, plan: HostPlan) -> str | None:
    if probe.survey is None or not probe.survey.journals:
        return None
    first = probe.survey.journals[0]
    return (
        f"databases with a hot journal: {len(probe.survey.journals)}. A writer was killed; a read-only open fails as "
        f"a readonly database until each is opened once for writing, as the agent: "
        f"setpriv --reuid {plan.agent.uid} --regid {plan.agent.gid} --clear-groups sqlite3 "
        f"{first.removesuffix('-journal')} 'PRAGMA user_version'"
    )


_RULES: tuple[Callable[[Observations, HostPlan], str | None], ...] = (
    _mount_missing,
    _server_silent,
    _read_only_mount,
    _no_space,
    _id_mapping,
    _squash,
    _guard,
    wrong_id,
    _hot_journal,
    _owner,
    no_docker,
    image_missing,
    container,
    container_unfinished,
    _not_tried,
)
"""The causes; first those with the symptoms of others."""


def _server(plan: HostPlan) -> str:
    return f"the server ({plan.source})" if plan.source else "the file system"


def _export(plan: HostPlan) -> str:
    if plan.source is None:
        return f"see the owner and mode of {plan.settings.pods_path}"
    options = ",".join(plan.squash.options()) if plan.squash else "the squash options that pods_export_options states"
    return f"{plan.source} is not exported to this machine with {options}"


def _as_if(plan: HostPlan, action: Action) -> str:
    """Name the squash under which the kernel denies this action, and why. Empty where none is known."""
    if plan.source is None:
        return ""
    tree = Node(plan.strategy.tree_owner(plan.stored_agent), 0o755)
    for squash in (Squash("root"), Squash("all")):
        answer = live(Case(plan.host_ids, plan.agent, Storage("nfs4", squash), tree))[action]
        if squash != plan.squash and answer.errno in ("EACCES", "EPERM"):
            return f". With {squash.options()[0]} this happens: {answer.reason}: {CANNOT[action]}"
    return ""


def _as_if_made_by(plan: HostPlan, other: Ids) -> str:
    """Name the squash with which the host's files get another owner, and what the kernel denies then."""
    if plan.source is None:
        return ""
    for squash in (Squash("none"), Squash("root"), Squash("all"), Squash("root", other), Squash("all", other)):
        if squash != plan.squash and squash.map_ids(plan.host_ids) == other:
            life = live(Case(plan.host_ids, plan.agent, Storage("nfs4", squash), Node(other, 0o755)))
            denied = obstacle(life)
            return f". With {','.join(squash.options())} this happens: {denied}" if denied else ""
    return ""


def _way_out(plan: HostPlan) -> str:
    """Say how to correct the export, and when this machine sees the change."""
    if plan.source is None:
        return ""
    options = ",".join(plan.squash.options()) if plan.squash else "options that make the agent the owner of sessions"
    way = f"Run again: {plan.server} then exports" if plan.server else "Let the server export"
    return (
        f". {way} with {options}. "
        "After a change of the export this machine still holds old answers: echo 2 > /proc/sys/vm/drop_caches"
    )
