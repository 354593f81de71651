"""A change of version of a NanoClaw that serves: its steps on the machine, in their order, and their undo.

Staging while the old version serves, then the switch. The machine completes either by itself (files/pods/transition).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from files.pods.probe.timeouts import WHOLE_PROBE
from files.pods.source.protocol import MarkerRequest, Needs, RestoreRequest
from files.pods.source.staging_protocol import (
    BuildStageRequest,
    RemoveStageRequest,
    StageImageRequest,
    StageRequest,
    StageSkillsRequest,
    StageSpaceRequest,
    SwitchImageRequest,
    SwitchToStageRequest,
)
from files.pods.transition.documents import BAD_VERSIONS, VERSION_CHANGE, Run
from files.pods.transition.protocol import CommitRequest, GateRequest, ProgressRequest
from files.pods.transition.step_ids import Mark, StepId
from files.pods.transition.timeouts import EVERY_TRY, ROLLBACK
from files.pods.transition.version_protocol import BootRollbackRequest, DrainRequest, VersionRollbackRequest
from files.pods.trees.protocol import TreesRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.host.agent_image import expected_ids
from tasks.model.host.service_state import start_request
from tasks.model.host.service_unit import image_record, name_of
from tasks.model.host.step import SHORT, Part, Step
from tasks.model.ownership.trees import chown_by, host_trees
from tasks.model.templates import render
from tasks.model.versions.skills import skills_payload, skills_request

SPACE, BUILD, SKILLS, IMAGE = 1000, 1800, 2100, 3600
"""Seconds for the check of the disk space, a build in the stage, its gateway and channels, and its image."""
SWITCH = 1000
"""Seconds for the switch of the files: more than its program allows itself."""
GATE_COMMAND = 300
"""Seconds for the operator's command in the gate."""
STABLE = 30
"""Seconds for which the new version must stay up before it is committed: some faults end it late."""


@dataclass(frozen=True)
class VersionChange:
    """A host with a service of another commit than the desired one."""

    before: str
    """The commit that is checked out."""
    commit: str
    """The desired one, as the run began: a branch that moves meanwhile changes nothing."""
    version: str
    """The version of the desired commit, as messages name it."""
    stash: str | None
    """The message of the stash that takes local changes; None where there are none."""
    node: str | None
    """The major version of Node that builds it."""
    copy: str | None = None
    """The copy of data/v2.db that takes the place of one that a later version has migrated."""
    needs: Needs | None = None
    """What the desired commit needs; None where its files are not on the machine yet."""


def directory(plan: HostPlan) -> str:
    """Return the directory of the journal, and of the programs that the machine runs."""
    return f"{STATE_DIRECTORY}/{name_of(plan)}{VERSION_CHANGE}"


def service(plan: HostPlan) -> str:
    """Return the transient unit that runs a part of a change of version."""
    return f"nanoclaw-pods-transition-{plan.slug}.service"


def rollback_unit(plan: HostPlan) -> str:
    """Return the unit that rolls an interrupted switch back at a boot."""
    return f"nanoclaw-pods-rollback-{plan.slug}.service"


def marker(plan: HostPlan) -> str:
    """Return the file that commits to the new version."""
    return f"{directory(plan)}/committed"


def ran(plan: HostPlan) -> str:
    """Return the file that exists if the old version ran when it was stopped."""
    return f"{directory(plan)}/ran"


def trying(plan: HostPlan) -> str:
    """Return the file that exists while a switch is under way; a crash removes it."""
    return f"/run/nanoclaw-pods/{plan.slug}.switching"


def progress_request(plan: HostPlan) -> ProgressRequest:
    """Return what a host is asked about its last change of version."""
    return ProgressRequest(directory(plan), service(plan), plan.root, marker(plan))


def steps(part: Part, plan: HostPlan, change: VersionChange, probe: Run, back_command: str) -> list[Step]:
    """Return the steps of a part, in their order.

    + probe: how the machine runs files/pods/probe/main.py
    + back_command: how systemd runs the runner at a boot, to end an interrupted switch
    """
    if part == "staging":
        return list(_staging(plan, change, back_command))
    return list(_switching(plan, change, probe))


def rollback(plan: HostPlan, change: VersionChange) -> Step:
    """Return the step that rolls back to the old version, at any moment and repeatedly."""
    request = VersionRollbackRequest(
        unit=plan.unit,
        install=plan.slug,
        root=plan.root,
        lock=plan.lock,
        before=change.before,
        commit=change.commit,
        version=change.version,
        marker=marker(plan),
        trying=trying(plan),
        ran=ran(plan),
        bad=f"{directory(plan)}/{BAD_VERSIONS}",
        image=plan.image if plan.settings.nanoclaw_image == "build" else None,
        record=image_record(plan),
        **plan.host_user,
    )
    return Step(StepId.ROLL_BACK, "roll back to the old version", request, ROLLBACK)


def boot_rollback(plan: HostPlan, command: str) -> BootRollbackRequest:
    """Return the request of the unit that ends an interrupted switch at a boot.

    + command: how systemd runs the runner for that
    """
    unit, drop_in = "nanoclaw-pods-transition.service", "nanoclaw.service.d/60-nanoclaw-pods-transition.conf"
    return BootRollbackRequest(
        unit=plan.unit,
        name=rollback_unit(plan),
        text=render(f"units/{unit}", plan=plan, trying=trying(plan), command=command, seconds=EVERY_TRY),
        drop_in=render(f"units/{drop_in}", rollback_unit=rollback_unit(plan)),
        marker=marker(plan),
    )


def _staging(plan: HostPlan, change: VersionChange, back_command: str) -> Iterator[Step]:
    work = {"root": plan.root, "lock": plan.lock, **plan.host_user}
    stage = StageRequest(commit=change.commit, stash=change.stash, marker=marker(plan), **work)
    yield Step(StepId.CHECK_SPACE, "check disk space", StageSpaceRequest(**work), SPACE)
    yield Step(StepId.STAGE_SOURCE, f"stage {change.version} beside the old version", stage, BUILD)
    yield Step(StepId.STAGE_BUILD, "build it there", BuildStageRequest(node=change.node, **work), BUILD)
    skills = skills_request(plan, change.needs)
    if skills.gateway or skills.channels:
        stage_skills = StageSkillsRequest(
            gateway=skills.gateway, server=skills.server, channels=skills.channels, **work
        )
        payload = skills_payload(plan, change.needs)
        yield Step(
            StepId.STAGE_SKILLS,
            "apply its gateway and channels there",
            stage_skills,
            SKILLS,
            payload=json.dumps(payload) if payload else "",
        )
    if plan.settings.nanoclaw_image == "build":
        yield Step(
            StepId.STAGE_IMAGE,
            "build its agent image",
            StageImageRequest(image=plan.image, ids=expected_ids(plan), **work),
            IMAGE,
        )
    boot = boot_rollback(plan, back_command)
    yield Step(StepId.BOOT_ROLLBACK, "prepare a rollback at a boot", boot)


def _switching(plan: HostPlan, change: VersionChange, probe: Run) -> Iterator[Step]:
    settings, work = plan.settings, {"root": plan.root, "lock": plan.lock, **plan.host_user}
    drain = DrainRequest(
        unit=plan.unit,
        install=plan.slug,
        seconds=settings.nanoclaw_drain_seconds,
        trying=trying(plan),
        ran=ran(plan),
        **plan.host_user,
    )
    yield Step(StepId.DRAIN, "drain and stop the old version", drain, drain.seconds + SHORT, (Mark.STOPS_SERVICE,))
    switch = SwitchToStageRequest(commit=change.commit, stash=change.stash, **work)
    yield Step(StepId.SWITCH_SOURCE, "switch to the staged version", switch, SWITCH)
    if change.copy:
        restore = RestoreRequest(unit=plan.unit, file=change.copy, **work)
        yield Step(StepId.RESTORE_DATABASE, "put the database of that version back", restore, SWITCH)
    if settings.nanoclaw_image == "build":
        yield Step(
            StepId.SWITCH_IMAGE,
            "switch to its agent image",
            SwitchImageRequest(root=plan.root, image=plan.image, record=image_record(plan), **plan.host_user),
        )
    yield Step(StepId.UPGRADE_MARKER, "set the upgrade marker", MarkerRequest(**work))
    if chown_by(plan) == "host":
        trees = TreesRequest(apply=True, trees=[tree.request() for tree in host_trees(plan)])
        yield Step(StepId.CHOWN, "chown sessions and groups to the agent", trees)
    yield Step(StepId.START_V2, "start the new version", start_request(plan, restart=True))
    gate = GateRequest(
        probe=probe,
        command=settings.nanoclaw_gate,
        seconds=GATE_COMMAND,
        stable=STABLE,
        unit=plan.unit,
        root=plan.root,
        **plan.host_user,
    )
    yield Step(StepId.GATE, "run the gate", gate, WHOLE_PROBE + GATE_COMMAND + 4 * STABLE, (Mark.PROVES_NEW,))
    text = f"{change.version} ({change.commit}) serves in {plan.root}\n"
    commit = CommitRequest(marker(plan), trying(plan), ran(plan), text)
    yield Step(StepId.COMMIT, "commit to the new version", commit, marks=(Mark.POINT_OF_NO_RETURN,))
    yield Step(StepId.REMOVE_STAGE, "remove the stage", RemoveStageRequest(**work))
