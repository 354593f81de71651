"""The steps of a migration: which programs run on the machine, with which requests, in which order.

Staging while v1 serves, then the switch. NanoClaw's own steps read a snapshot of v1 (files/pods/v1/extract.py). The
role copies the large trees itself (files/pods/v1/copy.py), so that most of it is done while v1 serves.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from files.pods.probe.timeouts import WHOLE_PROBE
from files.pods.source.protocol import MarkerRequest
from files.pods.transition.documents import Run
from files.pods.transition.protocol import (
    ArchiveRequest,
    CheckSpaceRequest,
    CommitRequest,
    ConditionsRequest,
    GateRequest,
    RollbackRequest,
    SpaceNeed,
    UpstreamStepRequest,
)
from files.pods.transition.step_ids import Mark, StepId
from files.pods.trees.protocol import TreesRequest
from files.pods.v1.audit.protocol import AuditRequest, Homes
from files.pods.v1.protocol import BackupRequest, CopyRequest, ExtractRequest, FixUpRequest, Service, StopRequest
from files.pods.v1.v1_state import Install
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_state import start_request
from tasks.model.host.step import LONG, SHORT, Part, Step
from tasks.model.migration.channels import channel_of
from tasks.model.migration.chats import group_disposition
from tasks.model.migration.disk_space import Need
from tasks.model.migration.paths import directory, marker, ran, trying
from tasks.model.ownership.owners import created_by
from tasks.model.ownership.trees import chown_by, host_trees

GATE_COMMAND = 300
"""Seconds for the operator's command in the gate."""
ROLLBACK = 420
"""Seconds for the rollback: more than files/pods/transition/roll_back_to_v1.py allows its own commands."""
SECRETS, PLAIN = "077", "022"
"""Umasks (umask(2)) of NanoClaw's own steps."""


def steps(part: Part, plan: HostPlan, install: Install, probe: Run, unseen: Sequence[Need] = ()) -> list[Step]:
    """Return the steps of a part, in their order.

    + probe: how the machine runs files/pods/probe/main.py
    + unseen: space that could not be checked before the run, since nothing was mounted there yet
    """
    return list(_staging(plan, install, unseen) if part == "staging" else _switching(plan, install, probe))


def rollback(plan: HostPlan, install: Install) -> Step:
    """Return the step that rolls back to v1, at any moment and repeatedly."""
    return Step(StepId.ROLL_BACK, "roll back to v1", rollback_request(plan, install), ROLLBACK)


def rollback_request(plan: HostPlan, install: Install) -> RollbackRequest:
    """Return the request of that step, which starts v1 if it ran."""
    return RollbackRequest(_v1(install), plan.unit, plan.slug, **_files(plan), ran=ran(plan))


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
        needs = [SpaceNeed(need.paths, need.bytes, need.entries) for need in unseen]
        yield Step(StepId.CHECK_SPACE, "check disk space", CheckSpaceRequest(needs))
    archive = _archive(plan)
    marks = (Mark.ARCHIVES_ATTEMPT,)
    yield Step(StepId.ARCHIVE_ATTEMPT, "archive an earlier attempt", archive, LONG, marks)
    backup = BackupRequest(install.path, f"{directory(plan)}/backup")
    yield Step(StepId.BACK_UP, "back up v1's database", backup, LONG)
    conditions = ConditionsRequest(_v1(install), plan.unit, **_files(plan))
    yield Step(StepId.SET_CONDITIONS, "set the start conditions of v1 and v2", conditions)
    yield _snapshot(StepId.SNAPSHOT, "snapshot v1", plan, install)
    yield _upstream(plan, StepId.ENV, mask=SECRETS)  # db asks a channel's server with v1's token
    yield _upstream(plan, StepId.DB)
    yield _upstream(plan, StepId.SESSIONS)
    yield _copy(plan, install, final=False)
    yield from _ownership(plan, LONG)
    # While v1 serves: without it a version from 2.1.0 on ends at its start.
    upgrade_marker = MarkerRequest(root=plan.root, lock=plan.lock, **plan.host_user)
    yield Step(StepId.UPGRADE_MARKER, "set the upgrade marker", upgrade_marker)


def _switching(plan: HostPlan, install: Install, probe: Run) -> Iterator[Step]:
    stop = StopRequest(_v1(install), install.path, trying(plan), ran(plan))
    yield Step(StepId.STOP_V1, "stop v1", stop, marks=(Mark.STOPS_SERVICE,))
    yield _snapshot(StepId.FINAL_SNAPSHOT, "snapshot the stopped v1", plan, install)
    yield _upstream(plan, StepId.ENV, mask=SECRETS)
    for step in (StepId.DB, StepId.GROUPS, StepId.SESSIONS, StepId.TASKS):
        yield _upstream(plan, step)
    if names := channels(install):
        yield _upstream(plan, StepId.CHANNEL_AUTH, *names, mask=SECRETS)
    yield _copy(plan, install, final=True)
    fix_up = FixUpRequest(
        snapshot=snapshot(plan),
        root=plan.root,
        unknown_senders=plan.settings.nanoclaw_v1_unknown_senders,
        env_set=sorted(plan.settings.nanoclaw_env),
        **plan.host_user,
    )
    yield Step(StepId.FIX_UP, "fix up what NanoClaw's own steps lose", fix_up)
    yield from _ownership(plan, SHORT)
    yield Step(StepId.AUDIT, "audit v2 against v1", _audit(plan, install))
    yield Step(StepId.START_V2, "start v2", start_request(plan, restart=True))
    command, at = plan.settings.nanoclaw_gate, {"unit": plan.unit, "root": plan.root, **plan.host_user}
    gate = GateRequest(probe=probe, command=command, seconds=GATE_COMMAND, **at)
    yield Step(StepId.GATE, "run the gate", gate, WHOLE_PROBE + GATE_COMMAND, (Mark.PROVES_NEW,))
    text = f"NanoClaw v2 in {plan.root} has taken over from v1 in {install.path}; see {directory(plan)}/record.md\n"
    commit = CommitRequest(**_files(plan), ran=ran(plan), text=text)
    yield Step(StepId.COMMIT, "commit to v2", commit, marks=(Mark.POINT_OF_NO_RETURN,))


def _snapshot(step: StepId, name: str, plan: HostPlan, install: Install) -> Step:
    return Step(step, name, ExtractRequest(v1=install.path, to=snapshot(plan), **plan.host_user))


def _v1(install: Install) -> Service | None:
    if not install.units:
        return None
    unit = install.units[0]
    return Service(unit.name, unit.uid if unit.manager == "user" else None)


def _files(plan: HostPlan) -> dict[str, Any]:
    return {"marker": marker(plan), "trying": trying(plan)}


_TREES = {"v2-sessions": "data/v2-sessions", "groups": "groups"}


def _archive(plan: HostPlan) -> ArchiveRequest:
    sources = {target.rpartition("/")[2]: source for source, target in plan.binds}
    return ArchiveRequest(
        root=plan.root,
        journal=f"{directory(plan)}/journal.json",
        trees={name: sources.get(name, f"{plan.root}/{within}") for name, within in _TREES.items()},
        snapshot=snapshot(plan),
        env_set=sorted(plan.settings.nanoclaw_env),
        **plan.host_user,
    )


def _upstream(plan: HostPlan, step: StepId, *args: str, mask: str = PLAIN) -> Step:
    name = step.value.removeprefix("upstream-")
    more = {"root": plan.root, "snapshot": snapshot(plan), **plan.host_user}
    return Step(step, f"NanoClaw's step {name}", UpstreamStepRequest(step=name, args=list(args), mask=mask, **more))


def _copy(plan: HostPlan, install: Install, *, final: bool) -> Step:
    seconds = SHORT if final else LONG
    request = CopyRequest(
        v1=install.path,
        root=plan.root,
        v1_home=install.home,
        hard_links=chown_by(plan) != "host",
        final=final,
        seconds=seconds - 30,
        **plan.host_user,
    )
    step, name = (StepId.FINAL_COPY, "copy what has changed") if final else (StepId.COPY, "copy")
    return Step(step, name, request, seconds)


def _ownership(plan: HostPlan, seconds: int) -> Iterator[Step]:
    if chown_by(plan) == "host":
        request = TreesRequest(apply=True, trees=[tree.request() for tree in host_trees(plan)])
        yield Step(StepId.CHOWN, "chown sessions and groups to the agent", request, seconds)


def _audit(plan: HostPlan, install: Install) -> AuditRequest:
    agent = plan.stored_agent
    host = created_by(plan, "host", "project root") or plan.host_ids
    return AuditRequest(
        v1=install.path,
        root=plan.root,
        snapshot=snapshot(plan),
        agent=(agent.uid, agent.gid),
        host=(host.uid, host.gid),
        deep=False,
        must=True,
        seconds=SHORT - 30,
        left=[],
        env_set=sorted(plan.settings.nanoclaw_env),
        lists=Homes(install.home, plan.settings.nanoclaw_user) if install.home else None,
    )
