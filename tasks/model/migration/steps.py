"""The steps of a migration: which programs run on the machine, with which requests, in which order.

Staging while v1 serves, then the switch. NanoClaw's own steps read a snapshot of v1 (files/pods/v1/extract.py). The
role copies the large trees itself (files/pods/v1/copy.py), so that most of it is done while v1 serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from files.pods.migration.step_ids import Mark, StepId
from files.pods.source.protocol import MarkerRequest
from files.pods.trees.protocol import TreesRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_state import start_request
from tasks.model.migration.channels import channel_of
from tasks.model.migration.chats import group_disposition
from tasks.model.migration.disk_space import Need
from tasks.model.migration.paths import directory, marker, ran, trying
from tasks.model.migration.v1_state import Install
from tasks.model.ownership.owners import created_by
from tasks.model.ownership.trees import chown_by, host_trees

Part = Literal["staging", "switching"]
STEP = 600
"""Seconds for a step that does not grow with what v1 has."""
LONG = 6 * 3600
"""Seconds for one that does, and runs while v1 serves."""
SECRETS, PLAIN = "077", "022"
"""Umasks (umask(2)) of NanoClaw's own steps."""


@dataclass(frozen=True)
class Step:
    """One program that runs on the machine. The runner and the journal go by id and marks."""

    id: StepId
    name: str
    """Shown to the operator, and nothing else."""
    program: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: int = STEP
    marks: frozenset[Mark] = frozenset()


def steps(
    part: Part, plan: HostPlan, install: Install, probe: Mapping[str, Any], unseen: Sequence[Need] = ()
) -> list[Step]:
    """Return the steps of a part, in their order.

    + probe: how the machine runs files/pods/probe/main.py: `argv` and `input`
    + unseen: space that could not be checked before the run, since nothing was mounted there yet
    """
    return list(_staging(plan, install, unseen) if part == "staging" else _switching(plan, install, probe))


def rollback(plan: HostPlan, install: Install) -> Step:
    """Return the step that rolls back to v1, at any moment and repeatedly."""
    arguments = {
        "v1": _v1(install),
        "v2": plan.unit,
        "label": plan.slug,
        "start": False,
        "serves": False,
        "journal": None,
    }
    arguments |= {"ran": ran(plan), **_files(plan)}
    return Step(StepId.ROLL_BACK, "roll back to v1", "migration.rollback", arguments)


def snapshot(plan: HostPlan) -> str:
    """Return where the snapshot of v1 is. NanoClaw's own steps read it, and the journal's directory is root's alone."""
    return f"/var/lib/nanoclaw-pods-view/{plan.slug}"


def channels(install: Install) -> list[str]:
    """Return the channels of v1's chats, but for chats that are skipped: v2 may have no such channel."""
    database = install.database
    groups = [group for group in database.groups if group_disposition(group, database)[0] != "skipped"]
    return sorted({channel for group in groups if (channel := channel_of(group.jid))})


def _staging(plan: HostPlan, install: Install, unseen: Sequence[Need]) -> Iterator[Step]:
    if unseen:
        yield Step(StepId.CHECK_SPACE, "check disk space", "migration.check_space", {"needs": list(map(_need, unseen))})
    files = {"v1": install.path, "to": f"{directory(plan)}/backup", **plan.host_user}
    yield Step(
        StepId.ARCHIVE_ATTEMPT,
        "archive an earlier attempt",
        "migration.archive_attempt",
        _archive(plan),
        LONG,
        frozenset({Mark.ARCHIVES_ATTEMPT}),
    )
    yield Step(StepId.BACK_UP, "back up v1's database", "v1.backup", files, LONG)
    units = _units(plan, install)
    yield Step(StepId.SET_CONDITIONS, "set the start conditions of v1 and v2", "migration.unit_conditions", units)
    yield _snapshot(StepId.SNAPSHOT, "snapshot v1", plan, install)
    yield _upstream(plan, StepId.ENV, mask=SECRETS)  # db asks a channel's server with v1's token
    yield _upstream(plan, StepId.DB)
    yield _upstream(plan, StepId.SESSIONS)
    yield _copy(plan, install, final=False)
    yield from _ownership(plan, LONG)
    # While v1 serves: without it a version from 2.1.0 on ends at its start.
    marker_request = MarkerRequest(root=plan.root, lock=plan.lock, **plan.host_user).document()
    yield Step(StepId.UPGRADE_MARKER, "set the upgrade marker", "source.upgrade_marker", marker_request)


def _switching(plan: HostPlan, install: Install, probe: Mapping[str, Any]) -> Iterator[Step]:
    yield Step(StepId.STOP_V1, "stop v1", "v1.stop", _stop(plan, install), marks=frozenset({Mark.STOPS_V1}))
    yield _snapshot(StepId.FINAL_SNAPSHOT, "snapshot the stopped v1", plan, install)
    yield _upstream(plan, StepId.ENV, mask=SECRETS)
    for step in (StepId.DB, StepId.GROUPS, StepId.SESSIONS, StepId.TASKS):
        yield _upstream(plan, step)
    if names := channels(install):
        yield _upstream(plan, StepId.CHANNEL_AUTH, *names, mask=SECRETS)
    yield _copy(plan, install, final=True)
    policy = plan.settings.nanoclaw_v1_unknown_senders
    kept = sorted(plan.settings.nanoclaw_env)
    fix_up = {"view": snapshot(plan), "root": plan.root, "unknown_senders": policy, "env_set": kept, **plan.host_user}
    yield Step(StepId.FIX_UP, "fix up what NanoClaw's own steps lose", "v1.fix_up", fix_up)
    yield from _ownership(plan, STEP)
    yield _audit(plan, install)
    yield Step(StepId.START_V2, "start v2", "service.start", start_request(plan, restart=True).document())
    yield _gate(plan, probe)
    text = f"NanoClaw v2 in {plan.root} has taken over from v1 in {install.path}; see {directory(plan)}/record.md\n"
    yield Step(
        StepId.COMMIT,
        "commit to v2",
        "migration.commit",
        {**_files(plan), "ran": ran(plan), "text": text},
        marks=frozenset({Mark.POINT_OF_NO_RETURN}),
    )


def _gate(plan: HostPlan, probe: Mapping[str, Any]) -> Step:
    command: dict[str, Any] = {"command": plan.settings.nanoclaw_v1_gate, "seconds": 300}
    request = {"probe": dict(probe), "unit": plan.unit, "root": plan.root, **plan.host_user, **command}
    return Step(StepId.GATE, "run the gate", "migration.gate", request, 1500, frozenset({Mark.PROVES_V2}))


def _snapshot(step: StepId, name: str, plan: HostPlan, install: Install) -> Step:
    return Step(step, name, "v1.extract", {"v1": install.path, "to": snapshot(plan), **plan.host_user})


def _need(need: Need) -> dict[str, Any]:
    return {"paths": list(need.paths), "bytes": need.bytes, "entries": need.entries}


def _v1(install: Install) -> dict[str, Any] | None:
    if not install.units:
        return None
    unit = install.units[0]
    return {"manager": unit.manager, "name": unit.name, "uid": unit.uid}


def _stop(plan: HostPlan, install: Install) -> dict[str, Any]:
    return {"v1": _v1(install), "root": install.path, "trying": trying(plan), "ran": ran(plan)}


def _files(plan: HostPlan) -> dict[str, str]:
    return {"marker": marker(plan), "trying": trying(plan)}


def _units(plan: HostPlan, install: Install) -> dict[str, Any]:
    return {"v1": _v1(install), "v2": plan.unit, **_files(plan)}


_TREES = {"v2-sessions": "data/v2-sessions", "groups": "groups"}


def _archive(plan: HostPlan) -> dict[str, Any]:
    sources = {target.rpartition("/")[2]: source for source, target in plan.binds}
    trees = {name: sources.get(name, f"{plan.root}/{within}") for name, within in _TREES.items()}
    journal, kept = f"{directory(plan)}/journal.json", sorted(plan.settings.nanoclaw_env)
    return {
        "root": plan.root,
        "journal": journal,
        "trees": trees,
        "view": snapshot(plan),
        "env_set": kept,
        **plan.host_user,
    }


def _upstream(plan: HostPlan, step: StepId, *args: str, mask: str = PLAIN) -> Step:
    name = step.value.removeprefix("upstream-")
    arguments = {"root": plan.root, "view": snapshot(plan), "step": name, "words": list(args), "mask": mask}
    return Step(step, f"NanoClaw's step {name}", "migration.upstream_step", {**arguments, **plan.host_user})


def _copy(plan: HostPlan, install: Install, *, final: bool) -> Step:
    seconds = STEP if final else LONG
    arguments = {
        "v1": install.path,
        "root": plan.root,
        "v1_home": install.home,
        "hard_links": chown_by(plan) != "host",
        "final": final,
        "seconds": seconds - 30,
    }
    step, name = (StepId.FINAL_COPY, "copy what has changed") if final else (StepId.COPY, "copy")
    return Step(step, name, "v1.copy", {**arguments, **plan.host_user}, seconds)


def _ownership(plan: HostPlan, seconds: int) -> Iterator[Step]:
    if chown_by(plan) == "host":
        request = TreesRequest(apply=True, trees=[tree.request() for tree in host_trees(plan)]).document()
        yield Step(StepId.CHOWN, "chown sessions and groups to the agent", "trees.main", request, seconds)


def _audit(plan: HostPlan, install: Install) -> Step:
    agent = plan.stored_agent
    host = created_by(plan, "host", "project root") or plan.host_ids
    arguments = {
        "v1": install.path,
        "root": plan.root,
        "view": snapshot(plan),
        "agent": {"uid": agent.uid, "gid": agent.gid},
        "host": {"uid": host.uid, "gid": host.gid},
        "deep": False,
        "must": True,
        "seconds": STEP - 30,
        "left": [],
        "env_set": sorted(plan.settings.nanoclaw_env),
        "lists": {"v1_home": install.home, "user": plan.settings.nanoclaw_user} if install.home else None,
    }
    return Step(StepId.AUDIT, "audit v2 against v1", "v1.audit.main", arguments)
