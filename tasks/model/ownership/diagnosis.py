"""From what a probe saw to the cause and the way out: not the symptom, which has many causes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.model.access.identity import NOBODY, Ids, Squash
from tasks.model.access.observed_squash import BROKEN_MAPPING
from tasks.model.access.session_lifecycle import Action, Case, live
from tasks.model.access.storage import Node, Storage
from tasks.model.access.strategy import CANNOT, obstacle
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.probe_report import Observations, Step, Surveyed


@dataclass(frozen=True)
class Finding:
    """Why an agent cannot work, and what to do."""

    cause: str
    text: str


def diagnose(seen: Observations, plan: HostPlan) -> Finding | None:
    """The cause of the first thing that went wrong, or None where everything went well."""
    left = f"; scratch that could not be removed: {', '.join(seen.left)}" if seen.left else ""
    for rule in _RULES:
        text = rule(seen, plan)
        if text:
            return Finding(rule.__name__.strip("_").replace("_", " "), text + left)
    return Finding("scratch left", left.lstrip("; ")) if left else None


def summary(seen: Observations, plan: HostPlan) -> str:
    """One line for a host that is right; the lines of all hosts read as a table."""
    survey = seen.survey or Surveyed(0, 0, 0, [], [])
    guard = f" | guard took {seen.waited} s ({seen.guard_says})" if seen.waited is not None else ""
    flushed = " | after dropping remembered permissions" if seen.flushed else ""
    return (
        f"verified | {plan.strategy.name:6} | host {plan.host_ids} | agent {plan.agent} wrote in "
        f"{' and '.join(seen.relied)} | {survey.sessions} sessions, {survey.groups} groups writable"
        f"{'' if survey.complete else ' of those there was time for'}{guard}{flushed} | {seen.seconds} s"
    )


def _failed(seen: Observations, *errors: str) -> Step | None:
    return next((step for step in seen.steps if step.error in errors or (not errors and step.error)), None)


def _mount_missing(seen: Observations, plan: HostPlan) -> str | None:
    if not seen.missing:
        return None
    return f"nothing is mounted at {', '.join(seen.missing)}: see systemctl status of its mount unit, then run again"


def _server_silent(seen: Observations, plan: HostPlan) -> str | None:
    step = _failed(seen, "ETIMEDOUT")
    if step is None:
        return None
    return f"{step.what} ({step.who}) had {step.text}: {_server(plan)} does not answer, or very slowly"


def _read_only_mount(seen: Observations, plan: HostPlan) -> str | None:
    points = sorted({mount.point for mount in seen.mounts.values() if "ro" in mount.options})
    if points:
        return f"{', '.join(points)} is mounted read-only: mount it rw (mount -o remount,rw), and see dmesg for why"
    step = _failed(seen, "EROFS")
    return f"{_server(plan)} refuses writes ({step.text}): export it rw" if step else None


def _no_space(seen: Observations, plan: HostPlan) -> str | None:
    full = seen.space is not None and (seen.space.bytes == 0 or seen.space.inodes == 0)
    step = _failed(seen, "ENOSPC", "EDQUOT") or next((s for s in seen.steps if "disk is full" in s.text), None)
    if not full and step is None:
        return None
    kind = "inodes" if seen.space and seen.space.bytes and not seen.space.inodes else "space"
    if step and step.error == "EDQUOT":
        kind = f"quota of uid {plan.stored_agent.uid}"
    return f"no {kind} is left on {_server(plan)}: make room there"


def _id_mapping(seen: Observations, plan: HostPlan) -> str | None:
    by_name = bool(seen.id_mapping) and any(mount.type == "nfs4" for mount in seen.mounts.values())
    # Where the server maps the agent to nobody, what is born is nobody's with the best of mappings.
    lost = plan.stored_agent.uid != NOBODY and bool(seen.born) and all(owner == (NOBODY, NOBODY) for owner in seen.born)
    return BROKEN_MAPPING if seen.chown == "EINVAL" or (by_name and lost) else None


def _squash(seen: Observations, plan: HostPlan) -> str | None:
    wanted = plan.stored_agent
    for step in seen.steps:
        denied = step.error in ("EACCES", "EPERM")
        if denied and step.who == "host" and not seen.born:
            return (
                f"the host process ({plan.host_ids}) may not make a session in {plan.sessions} ({step.text}): "
                f"{_export(plan)}, or the directory is not {wanted}'s"
                f"{_as_if(plan, 'host creates the session directory')}"
            )
        if denied and step.who == "dockerd":
            return (
                f"root may not make a mount point in a session directory, so that dockerd cannot start a container: "
                f"{_export(plan)}{_as_if(plan, 'dockerd makes the mount points')}"
            )
    if seen.chown == "EPERM":
        return f"root may not chown files: {_export(plan)}{_as_if(plan, 'guard chowns the tree to the agent')}"
    owners = seen.born if not plan.strategy.needs_guard else []
    if other := next((owner for owner in owners if owner[0] != wanted.uid), None):
        return (
            f"what the host process makes belongs to {Ids(*other)} and not to the agent ({wanted}): {_export(plan)}"
            f"{_as_if_made_by(plan, Ids(*other))}{_way_out(plan)}"
        )
    return None


def _guard(seen: Observations, plan: HostPlan) -> str | None:
    if seen.guard is None:
        return None
    return (
        f"the guard did not give a new session to the agent ({plan.agent}) within {seen.waited} s; it is "
        f"{seen.guard or 'not there'} ({seen.guard_says}): see journalctl -u pods-guard-{plan.slug}"
    )


def _no_docker(seen: Observations, plan: HostPlan) -> str | None:
    if seen.container is None or seen.container.state != "no docker":
        return None
    return f"Docker does not answer ({_last(seen.container.text)}): see systemctl status docker"


def _image_missing(seen: Observations, plan: HostPlan) -> str | None:
    if seen.container is None or seen.container.state != "no image":
        return None
    return f"the agent image {plan.image} is not there, a docker system prune may have taken it: run again to make it"


def _container(seen: Observations, plan: HostPlan) -> str | None:
    if seen.container is None or seen.container.state != "failed":
        return None
    return f"the agent's container did not start, code {seen.container.code}: {_last(seen.container.text)}"


def _wrong_id(seen: Observations, plan: HostPlan) -> str | None:
    ids = Ids(*seen.container.ids) if seen.container and seen.container.ids else None
    if ids is None or ids == plan.agent:
        return None
    return (
        f"the container runs as {ids} and the plan says {plan.agent}: set nanoclaw_image_uid to {ids.uid} and "
        f"nanoclaw_image_gid to {ids.gid}, the image's USER"
    )


def _owner(seen: Observations, plan: HostPlan) -> str | None:
    if step := next((step for step in seen.steps if step.error and step.who in ("agent", "container")), None):
        owners = ", ".join(str(Ids(*owner)) for owner in dict.fromkeys(seen.settled or seen.born))
        return f"the {step.who} ({plan.agent}) cannot {step.what}: {step.text}; a new session is {owners}'s"
    if step := _failed(seen):
        return f"the {step.who} cannot {step.what}: {step.text}"
    if seen.survey is None or not seen.survey.refused:
        return None
    names = ", ".join(
        f"{refused.path} ({Ids(*refused.owner) if refused.owner else refused.error})" for refused in seen.survey.samples
    )
    where = f"on {plan.server or _server(plan)}, " if plan.source and not plan.strategy.needs_guard else ""
    return (
        f"not writable for the agent ({plan.agent}) of what exists: {seen.survey.refused} ({names}); "
        f"{where}give them to {plan.stored_agent} (chown -h) if they are NanoClaw's"
    )


def _hot_journal(seen: Observations, plan: HostPlan) -> str | None:
    if seen.survey is None or not seen.survey.journals:
        return None
    first = seen.survey.journals[0]
    return (
        f"databases with a hot journal: {len(seen.survey.journals)}. A writer was killed; a read-only open fails as a "
        f"readonly database until each is opened once for writing, as the agent: "
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
    _wrong_id,
    _hot_journal,
    _owner,
    _no_docker,
    _image_missing,
    _container,
)
"""The causes, those first that would make others look like the cause."""


def _server(plan: HostPlan) -> str:
    return f"the server ({plan.source})" if plan.source else "the file system"


def _export(plan: HostPlan) -> str:
    if plan.source is None:
        return f"see the owner and mode of {plan.settings.pods_path}"
    options = ",".join(plan.squash.options()) if plan.squash else "the squash options that pods_export_options states"
    return f"{plan.source} is not exported to this machine with {options}"


def _as_if(plan: HostPlan, action: Action) -> str:
    """By the rules of the kernel: the squash under which this action is denied, and why. Empty where none is known."""
    if plan.source is None:
        return ""
    tree = Node(plan.strategy.tree_owner(plan.stored_agent), 0o755)
    for squash in (Squash("root"), Squash("all")):
        answer = live(Case(plan.host_ids, plan.agent, Storage("nfs4", squash), tree))[action]
        if squash != plan.squash and answer.errno in ("EACCES", "EPERM"):
            return f". With {squash.options()[0]} it is so: {answer.reason}: {CANNOT[action]}"
    return ""


def _as_if_made_by(plan: HostPlan, other: Ids) -> str:
    """By the rules of the kernel: the squash with which the host's files are another's, and what then is denied."""
    if plan.source is None:
        return ""
    for squash in (Squash("none"), Squash("root"), Squash("all"), Squash("root", other), Squash("all", other)):
        if squash != plan.squash and squash.map_ids(plan.host_ids) == other:
            life = live(Case(plan.host_ids, plan.agent, Storage("nfs4", squash), Node(other, 0o755)))
            denied = obstacle(life)
            return f". With {','.join(squash.options())} it is so: {denied}" if denied else ""
    return ""


def _way_out(plan: HostPlan) -> str:
    """How the export becomes what the plan wants, and when this machine sees it."""
    if plan.source is None:
        return ""
    options = ",".join(plan.squash.options()) if plan.squash else "options that make the agent the owner of sessions"
    way = f"Run again: {plan.server} then exports" if plan.server else "Let the server export"
    return (
        f". {way} with {options}. "
        "After a change of the export this machine still holds old answers: echo 2 > /proc/sys/vm/drop_caches"
    )


def _last(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-2:]) or "no output"
