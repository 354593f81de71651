"""The steps of a migration: their order, their requests, and that none writes to v1."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from files.pods.common.protocol import Sent, decode
from files.pods.transition.documents import Run
from files.pods.transition.protocol import (
    ArchiveRequest,
    CheckSpaceRequest,
    CommitRequest,
    GateRequest,
    RollbackRequest,
    SpaceNeed,
    UpstreamStepRequest,
)
from files.pods.transition.step_ids import Mark, StepId
from files.pods.trees.protocol import TreesRequest
from files.pods.v1.audit.protocol import AuditRequest, Homes
from files.pods.v1.protocol import CopyRequest, FixUpRequest, Service, StopRequest
from files.pods.v1.v1_state import Group, Install
from tasks.bundle import entry_file
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.step import Step
from tasks.model.migration.channels import CHANNELS
from tasks.model.migration.disk_space import Need
from tasks.model.migration.steps import channels, rollback, steps
from tasks.model.ownership.trees import chown_by
from tests.fake.kinds import SECRET
from tests.programs import request_argv
from tests.unit.v1.v1_states import INSTALL, PATH, host, installs, with_database

PROBE = Run(["python3", "-I", "/programs.pyz", "probe.main"], "{}")
ENTRIES = {"nanoclaw_env": {"DISCORD_BOT_TOKEN": SECRET}}
HOSTS = {
    "root, with its root on the pods": host(nanoclaw_user="root", nanoclaw_root="/pods/nanoclaw-v2", **ENTRIES),
    "uid 1000": host(**ENTRIES),
    "uid 1500": host(nanoclaw_uid=1500, **ENTRIES),
    "root, local pods": host(pods_server="local", nanoclaw_user="root", pods_access="chown", **ENTRIES),
    "uid 1000, local pods": host(pods_server="local", **ENTRIES),
}
every_host = pytest.mark.parametrize("plan", HOSTS.values(), ids=HOSTS)


def staging(plan: HostPlan, install: Install = INSTALL) -> list[Step]:
    return steps("staging", plan, install, PROBE)


def switching(plan: HostPlan, install: Install = INSTALL) -> list[Step]:
    return steps("switching", plan, install, PROBE)


def every(plan: HostPlan, install: Install = INSTALL) -> list[Step]:
    return [*staging(plan, install), *switching(plan, install), rollback(plan, install)]


def requests(some: list[Step], kind: type[Sent]) -> list[Sent]:
    """The requests of this kind."""
    return [step.request for step in some if isinstance(step.request, kind)]


def programs(some: list[Step]) -> list[str]:
    """The entries of steps; for NanoClaw's own steps, their names."""
    every = [step.request for step in some]
    return [request.step if isinstance(request, UpstreamStepRequest) else request.entry for request in every]


def one(some: list[Step], kind: type[Sent]) -> Sent:
    (request,) = requests(some, kind)
    return request


def undo(plan: HostPlan, install: Install = INSTALL) -> RollbackRequest:
    return one([rollback(plan, install)], RollbackRequest)


def texts(thing: Any, *keys: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in a document, with the keys that lead to it."""
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from texts(value, *keys, str(key))
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            yield from texts(item, *keys)
    elif isinstance(thing, str):
        yield keys, thing


@every_host
def test_order_of_staging(plan: HostPlan) -> None:
    """The backup before v1's own files are read for v2; the units before anything of v2 could be started; the marker
    without which v2 does not start while v1 serves."""
    own = ["trees.main"] if chown_by(plan) == "host" else []
    begin = ["transition.archive_attempt", "v1.backup", "transition.unit_conditions", "v1.extract"]
    assert programs(staging(plan)) == [*begin, "env", "db", "sessions", "v1.copy", *own, "source.upgrade_marker"]


@every_host
def test_space_that_was_unknown_is_checked_first(plan: HostPlan) -> None:
    need = Need(("/pods",), 5000, 7, None, None)
    listed = steps("staging", plan, INSTALL, PROBE, [need])
    request = CheckSpaceRequest([SpaceNeed(("/pods",), 5000, 7)])
    assert listed[0] == Step(StepId.CHECK_SPACE, "check disk space", request)
    assert listed[1:] == staging(plan)


@pytest.mark.parametrize(
    ("size", "entries", "says"),
    [(1, 1, ""), (1 << 60, 1, "would need 1152921504606 MB and 1 inodes"), (1, 1 << 60, f"and {1 << 60} inodes, and")],
)
def test_file_system_with_too_little_space_is_an_error(tmp_path: Path, size: int, entries: int, says: str) -> None:
    need = SpaceNeed((str(tmp_path / "not" / "there"), "/other"), size, entries)
    argv = request_argv(CheckSpaceRequest([need]))
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, says in done.stderr) == (1 if says else 0, True), done.stderr


@every_host
def test_order_of_switching(plan: HostPlan) -> None:
    own = ["trees.main"] if chown_by(plan) == "host" else []
    convert = ["v1.extract", "env", "db", "groups", "sessions", "tasks", "channel-auth", "v1.copy", "v1.fix_up", *own]
    prove = ["v1.audit.main", "service.start", "transition.gate", "transition.commit"]
    assert programs(switching(plan)) == ["v1.stop", *convert, *prove]


@every_host
def test_staging_neither_stops_v1_nor_starts_v2(plan: HostPlan) -> None:
    assert not {"v1.stop", "service.start", "transition.commit"} & set(programs(staging(plan)))


@every_host
def test_each_mark_is_on_one_step(plan: HostPlan) -> None:
    """files/pods/transition/runner.py uses nothing else of a step."""
    marks = {step.request.entry: set(step.marks) for step in every(plan) if step.marks}
    assert marks == {
        "transition.archive_attempt": {Mark.ARCHIVES_ATTEMPT},
        "v1.stop": {Mark.STOPS_SERVICE},
        "transition.gate": {Mark.PROVES_NEW},
        "transition.commit": {Mark.POINT_OF_NO_RETURN},
    }
    assert [step.id for step in every(plan) if step.marks] == [
        StepId.ARCHIVE_ATTEMPT,
        StepId.STOP_V1,
        StepId.GATE,
        StepId.COMMIT,
    ]
    assert rollback(plan, INSTALL).id == StepId.ROLL_BACK
    assert [step.request.entry for step in switching(plan) if step.id == StepId.AUDIT] == ["v1.audit.main"]


@every_host
def test_each_step_has_a_program_a_unique_name_and_a_deadline(plan: HostPlan) -> None:
    for part in (staging(plan), switching(plan)):
        names = [step.name for step in part]
        assert len(set(names)) == len(names) and all(names)
        assert len({step.id for step in part}) == len(part)
    for step in every(plan):
        document = step.request.document()
        assert entry_file(step.request.entry).is_file()
        assert step.seconds > 0
        assert 0 < document.get("seconds", 1) < step.seconds
        assert json.loads(json.dumps(document)) == document
        assert decode(type(step.request), document, step.request.entry) == step.request


@every_host
def test_requests_hold_no_secret(plan: HostPlan) -> None:
    """A file on the machine has them."""
    assert plan.settings.nanoclaw_env["DISCORD_BOT_TOKEN"] == SECRET
    assert SECRET not in json.dumps([step.request.document() for step in every(plan)])
    names = [step.request.entry for step in every(plan) if hasattr(step.request, "env_set")]
    assert names == ["transition.archive_attempt", "v1.fix_up", "v1.audit.main"]


READ = {("v1",), ("v1.stop", "root")}
"""Where a request has a path of v1: to read it, and to find the processes that run from it."""


@every_host
def test_no_step_writes_to_a_path_of_v1(plan: HostPlan) -> None:
    places = set()
    for step in every(plan):
        for keys, text in texts(step.request.document()):
            if text == PATH or text.startswith(f"{PATH}/"):
                places.add(keys if keys == ("v1",) else (step.request.entry, *keys))
    assert places == READ


@every_host
def test_root_of_each_request_is_v2s(plan: HostPlan) -> None:
    for step in every(plan):
        if not isinstance(step.request, StopRequest):
            assert getattr(step.request, "root", plan.root) == plan.root


@pytest.mark.parametrize("plan", [host(), *HOSTS.values()])
def test_policy_of_chats_stays_unless_it_is_set(plan: HostPlan) -> None:
    assert one(switching(plan), FixUpRequest).unknown_senders is None


@pytest.mark.parametrize("policy", ["public", "strict", "request_approval"])
def test_policy_is_sent_if_it_is_set(policy: str) -> None:
    fix_up = one(switching(host(nanoclaw_v1_unknown_senders=policy)), FixUpRequest)
    assert fix_up.unknown_senders == policy


def channel_args(some: list[Step]) -> list[list[str]]:
    return [request.args for request in requests(some, UpstreamStepRequest) if request.step == "channel-auth"]


def test_channel_step_runs_only_with_channels() -> None:
    assert channel_args(switching(host())) == [["telegram", "whatsapp"]]
    assert [step.id for step in switching(host())][7] == StepId.CHANNEL_AUTH
    for groups in ([], [Group("x", "nothing", False, None, [])], [Group("x", "gmail:a", False, None, [])]):
        assert "channel-auth" not in programs(switching(host(), with_database(groups=groups)))


@given(installs)
def test_channels_are_sorted_and_unique(install: Install) -> None:
    names = channels(install)
    assert names == sorted(set(names)) and set(names) <= CHANNELS
    assert channel_args(switching(HOSTS["uid 1000"], install)) == ([names] if names else [])


@every_host
def test_steps_with_secrets_have_a_strict_umask(plan: HostPlan) -> None:
    masks = {request.step: request.mask for request in requests(every(plan), UpstreamStepRequest)}
    assert {name for name, mask in masks.items() if mask == "077"} == {"env", "channel-auth"}


@every_host
def test_host_chowns_sessions_and_groups_if_that_is_its_part(plan: HostPlan) -> None:
    for part in (staging(plan), switching(plan)):
        chowns = requests(part, TreesRequest)
        assert bool(chowns) == (chown_by(plan) == "host")
        for request in chowns:
            assert [tree.path for tree in request.trees] == [plan.sessions, plan.groups]
            assert request.apply is True


def test_cases_have_hosts_that_chown_and_others() -> None:
    assert {name: chown_by(plan) == "host" for name, plan in HOSTS.items()} == {
        "root, with its root on the pods": False,
        "uid 1000": False,
        "uid 1500": False,
        "root, local pods": True,
        "uid 1000, local pods": True,
    }


@pytest.mark.parametrize(
    ("name", "agent", "owner"),
    [
        ("root, with its root on the pods", 1000, 1000),
        ("uid 1000", 1000, 1000),
        ("uid 1500", 1500, 1500),
        ("root, local pods", 1000, 0),
    ],
)
def test_audit_expects_the_owners_that_the_server_shows(name: str, agent: int, owner: int) -> None:
    request = one(switching(HOSTS[name]), AuditRequest)
    assert (request.agent[0], request.host[0]) == (agent, owner)
    assert request.must is True and request.lists == Homes("/home/andy", HOSTS[name].settings.nanoclaw_user)


@every_host
def test_archive_uses_the_sources_of_bind_mounts(plan: HostPlan) -> None:
    """A bind mount shows a directory of the pods, and nothing is renamed out of a mount."""
    trees = one(staging(plan), ArchiveRequest).trees
    home = plan.root if plan.root_on_pods else plan.settings.pods_path
    inside = "/data/v2-sessions" if plan.root_on_pods else "/v2-sessions"
    assert trees == {"v2-sessions": home + inside, "groups": f"{home}/groups"}


@every_host
def test_all_steps_use_the_same_marker_files(plan: HostPlan) -> None:
    for key, several in (("marker", 3), ("trying", 4)):
        values = [getattr(step.request, key) for step in every(plan) if hasattr(step.request, key)]
        assert len(values) == several and len(set(values)) == 1


def test_gate_runs_the_operators_command() -> None:
    request = one(switching(host(nanoclaw_gate=["node", "ask.mjs"])), GateRequest)
    assert request.command == ["node", "ask.mjs"] and request.probe == PROBE
    assert one(switching(host()), GateRequest).command is None


@pytest.mark.parametrize("state", ["active", "inactive", "failed", "unknown"])
def test_stop_rollback_and_commit_share_the_file_that_v1_ran(state: str) -> None:
    install = replace(INSTALL, units=[replace(INSTALL.units[0], active=state)])
    assert undo(host(), install).v1 == Service("nanoclaw.service", 1001)
    assert undo(host(), install).start is False
    stop, commit = one(switching(host(), install), StopRequest), one(switching(host(), install), CommitRequest)
    assert stop.ran == undo(host(), install).ran == commit.ran
    assert undo(host(), replace(install, units=[])).v1 is None


def test_service_of_the_systems_manager_has_no_uid() -> None:
    install = replace(INSTALL, units=[replace(INSTALL.units[0], manager="system")])
    assert undo(host(), install).v1 == Service("nanoclaw.service")


@pytest.mark.parametrize("part", ["staging", "switching"])
def test_v1_without_a_home_has_no_lists(part: Any) -> None:
    listed = steps(part, host(), replace(INSTALL, homes=[]), PROBE)
    assert one(listed, CopyRequest).v1_home is None
    if part == "switching":
        assert one(listed, AuditRequest).lists is None
