"""The steps of a change of version: their order, their requests, and what undoes them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from files.pods.service.protocol import StartRequest
from files.pods.source.protocol import Needs
from files.pods.source.staging_protocol import StageRequest, StageSkillsRequest, SwitchToStageRequest
from files.pods.transition.documents import Run
from files.pods.transition.drain import GRACE, STOP_SECONDS
from files.pods.transition.protocol import CommitRequest, GateRequest
from files.pods.transition.step_ids import Mark, StepId
from files.pods.transition.version_protocol import BootRollbackRequest, DrainRequest, VersionRollbackRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.step import Step
from tasks.model.host.version_change import VersionChange, directory, progress_request, rollback, steps
from tasks.model.ownership.trees import chown_by
from tests.builders import host_plan as host

CHANGE = VersionChange("0" * 40, "1" * 40, "v2.1.17", None, "22")
NEEDS = Needs("2.1.17", None, None, api=True, gateway=True, marker=True)
PROBE, BACK = Run(["python3", "probe"], "{}"), "/usr/bin/python3 -I /programs.pyz transition.runner '{}'"
HOSTS = {
    "root, with its root on the pods": host(nanoclaw_user="root", nanoclaw_root="/pods/nanoclaw-v2"),
    "uid 1000": host(),
    "root, local pods": host(pods_server="local", nanoclaw_user="root", pods_access="chown"),
    "a pulled image": host(nanoclaw_image="pull", nanoclaw_image_name=f"r.lab/agent@sha256:{'a' * 64}"),
}
every_host = pytest.mark.parametrize("plan", HOSTS.values(), ids=HOSTS)


def staging(plan: HostPlan) -> list[Step]:
    return steps("staging", plan, CHANGE, PROBE, BACK)


def switching(plan: HostPlan) -> list[Step]:
    return steps("switching", plan, CHANGE, PROBE, BACK)


@every_host
def test_staging_stops_and_switches_nothing(plan: HostPlan) -> None:
    kinds = {type(step.request) for step in staging(plan)}
    assert not kinds & {DrainRequest, SwitchToStageRequest, StartRequest, CommitRequest}
    assert not any(step.marks for step in staging(plan))
    assert [step.id for step in staging(plan)][:3] == [StepId.CHECK_SPACE, StepId.STAGE_SOURCE, StepId.STAGE_BUILD]


def test_gateway_and_channels_are_applied_in_the_stage() -> None:
    """With the key of the gateway's server, which is in no request."""
    server, key = "http://10.0.0.9:10254", "oc-HUSH-4711"
    plan = host(
        nanoclaw_gateway="onecli",
        nanoclaw_gateway_server=server,
        nanoclaw_channels=["telegram"],
        nanoclaw_env={"ONECLI_API_KEY": key},
    )
    ids = [step.id for step in staging(plan)]
    assert StepId.STAGE_SKILLS not in [step.id for step in staging(host())]
    assert ids.index(StepId.STAGE_BUILD) < ids.index(StepId.STAGE_SKILLS) < ids.index(StepId.STAGE_IMAGE)
    (step,) = (step for step in staging(plan) if isinstance(step.request, StageSkillsRequest))
    assert isinstance(step.request, StageSkillsRequest)
    assert (step.request.gateway, step.request.server, step.request.channels) == ("onecli", server, ["telegram"])
    assert json.loads(step.payload) == {"token": key} and key not in str(step.request)
    old = replace(CHANGE, needs=replace(NEEDS, gateway=False))
    (step,) = (
        step for step in steps("staging", plan, old, PROBE, BACK) if isinstance(step.request, StageSkillsRequest)
    )
    assert isinstance(step.request, StageSkillsRequest) and step.request.gateway is None and not step.payload


@every_host
def test_switch_drains_first_and_commits_after_its_proof(plan: HostPlan) -> None:
    ids = [step.id for step in switching(plan)]
    assert ids[:2] == [StepId.DRAIN, StepId.SWITCH_SOURCE]
    assert ids[-4:] == [StepId.START_V2, StepId.GATE, StepId.COMMIT, StepId.REMOVE_STAGE]
    assert ids.index(StepId.UPGRADE_MARKER) < ids.index(StepId.START_V2)
    assert (StepId.CHOWN in ids) == (chown_by(plan) == "host")
    marks = {step.id: step.marks for step in switching(plan) if step.marks}
    assert marks == {
        StepId.DRAIN: (Mark.STOPS_SERVICE,),
        StepId.GATE: (Mark.PROVES_NEW,),
        StepId.COMMIT: (Mark.POINT_OF_NO_RETURN,),
    }


@every_host
def test_image_is_staged_where_the_host_builds_it(plan: HostPlan) -> None:
    builds = plan.settings.nanoclaw_image == "build"
    assert (StepId.STAGE_IMAGE in [step.id for step in staging(plan)]) == builds
    assert (StepId.SWITCH_IMAGE in [step.id for step in switching(plan)]) == builds
    undo = rollback(plan, CHANGE).request
    assert isinstance(undo, VersionRollbackRequest) and undo.image == (plan.image if builds else None)


@every_host
def test_steps_agree_on_files_and_commits(plan: HostPlan) -> None:
    requests = {type(step.request): step.request for step in [*staging(plan), *switching(plan)]}
    undo = rollback(plan, CHANGE).request
    boot, drain, commit = (requests[kind] for kind in (BootRollbackRequest, DrainRequest, CommitRequest))
    assert isinstance(undo, VersionRollbackRequest) and isinstance(boot, BootRollbackRequest)
    assert isinstance(drain, DrainRequest) and isinstance(commit, CommitRequest)
    assert drain.trying == commit.trying == undo.trying and f"ConditionPathExists=!{drain.trying}\n" in boot.text
    assert boot.marker == commit.marker == undo.marker == progress_request(plan).marker
    assert undo.bad.startswith(directory(plan)) and (undo.before, undo.commit) == (CHANGE.before, CHANGE.commit)
    staged, switched = requests[StageRequest], requests[SwitchToStageRequest]
    assert isinstance(staged, StageRequest) and isinstance(switched, SwitchToStageRequest)
    assert staged.commit == switched.commit == CHANGE.commit
    gate = requests[GateRequest]
    assert isinstance(gate, GateRequest) and gate.probe == PROBE and gate.stable == 30


@pytest.mark.parametrize("seconds", [0, 60, 3600])
def test_agents_may_finish_as_long_as_the_setting_says(seconds: int) -> None:
    (step,) = (step for step in switching(host(nanoclaw_drain_seconds=seconds)) if step.id is StepId.DRAIN)
    assert isinstance(step.request, DrainRequest) and step.request.seconds == seconds
    assert step.seconds > seconds + STOP_SECONDS + GRACE


@every_host
def test_service_waits_for_the_unit_that_rolls_back_at_a_boot(plan: HostPlan) -> None:
    (boot,) = (step.request for step in staging(plan) if isinstance(step.request, BootRollbackRequest))
    assert f"Before={plan.unit}\n" in boot.text and f"ExecStart={BACK}\n" in boot.text
    assert f"TimeoutStartSec={2 * rollback(plan, CHANGE).seconds + 60}\n" in boot.text
    assert f"Wants={boot.name}\nAfter={boot.name}\n" in boot.drop_in and boot.unit == plan.unit
