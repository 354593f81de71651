"""Steps of the service from its state, and the commands of these steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pyinfra.api.exceptions import OperationError

from files.pods.common.protocol import Place
from files.pods.service.protocol import Account, Rival, ServiceState, Serving, UnitState
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as texts
from tasks.model.host.service_state import refusals
from tasks.model.host.service_steps import restart_reasons, runtime, service_steps, unit_files
from tasks.operations import host_service as operations
from tests.builders import local_plan
from tests.unit.conftest import Execute
from tests.unit.service.test_service_unit import ROOT, SQUASHED

UP = UnitState("loaded", "active", "running", "enabled", False)
GONE = UnitState("not-found", "inactive", "dead", "", False)


def done(of: HostPlan) -> ServiceState:
    state = ServiceState(
        systemd=257,
        unit=UP,
        files={},
        account=texts.expected_account(of),
        node="/usr/bin/node",
        logs={
            texts.log_directory(of): Place("directory", of.host_ids.uid, of.host_ids.gid, "0755"),
            **{path: Place("file", of.host_ids.uid, of.host_ids.gid, "0644") for path in texts.log_files(of)},
        },
        outdated=[],
        rivals=[],
        serving=Serving(True, ""),
    )
    files: dict[str, str | None] = {**unit_files(of, state)}
    files[texts.rotation_path(of)] = texts.rotation_text(of, runtime(of, state).account)
    return replace(state, files=files)


def bare(of: HostPlan) -> ServiceState:
    state = done(of)
    nothing = {path: Place("absent") for path in state.logs}
    files: dict[str, str | None] = dict.fromkeys(state.files)
    return replace(state, unit=GONE, files=files, account=None, node=None, logs=nothing, outdated=None)


@pytest.mark.parametrize("data", [{}, ROOT, SQUASHED, {**SQUASHED, "nanoclaw_root": "/pods/nanoclaw"}])
def test_finished_service_is_left_alone(data: dict[str, Any]) -> None:
    of = local_plan(**data)
    assert not service_steps(of, done(of))
    assert refusals(of, done(of)) == []


def test_unit_without_final_line_break_does_not_differ() -> None:
    of = local_plan()
    files = {path: (text or "").rstrip("\n") for path, text in done(of).files.items() if path == texts.unit_path(of)}
    assert not service_steps(of, replace(done(of), files={**done(of).files, **files}))


def test_bare_machine_gets_everything() -> None:
    of = local_plan(**SQUASHED)
    steps = service_steps(of, bare(of))
    assert list(steps.units) == [texts.unit_path(of), texts.dropin_path(of), texts.retry_path(of)]
    assert [what for what, _path in steps.logs] == ["directory", "file", "file"]
    assert steps.rotation and steps.start and steps.restart


@pytest.mark.parametrize(
    ("changes", "start", "restart"),
    [
        ({"unit": replace(UP, active="inactive", sub="dead")}, True, True),
        ({"unit": replace(UP, active="failed", sub="failed")}, True, True),
        ({"unit": replace(UP, active="activating", sub="auto-restart")}, True, True),
        ({"unit": replace(UP, enabled="disabled")}, True, False),
        ({"unit": replace(UP, reload=True)}, True, True),
        ({"outdated": ["/opt/nanoclaw/.env"]}, True, True),
        ({"outdated": None}, True, True),
        ({"serving": Serving(False, "it waits in its circuit breaker")}, True, True),
    ],
)
def test_running_state_is_compared(changes: dict[str, Any], start: bool, restart: bool) -> None:
    of = local_plan()
    steps = service_steps(of, replace(done(of), **changes))
    assert (steps.start, steps.restart) == (start, restart)
    assert bool(steps.units) == ("unit" in changes and changes["unit"].reload)
    assert steps.reasons


def test_only_inputs_of_the_service_restart_it() -> None:
    of = local_plan()
    for path in done(of).files:
        steps = service_steps(of, replace(done(of), files={**done(of).files, path: "other\n"}))
        assert steps.restart == (path in (texts.unit_path(of), texts.dropin_path(of)))


USER_UNIT = "/home/nanoclaw/.config/systemd/user/x.service"


@pytest.mark.parametrize(
    ("changes", "pending", "reasons"),
    [
        ({}, False, []),
        ({}, True, ["uses a build, an image, a database or a .env that this run changes"]),
        ({"unit": replace(UP, enabled="disabled")}, False, []),
        ({"unit": replace(UP, active="failed", sub="failed")}, True, ["is failed (failed)"]),
        ({"unit": replace(UP, reload=True), "outdated": []}, False, ["has not read the last change"]),
        ({"serving": Serving(False, "it waits"), "outdated": ["/opt/nanoclaw/.env"]}, False, ["it waits"]),
        ({"outdated": ["/opt/nanoclaw/.env", "/x"]}, True, ["started before a change: /opt/nanoclaw/.env, /x"]),
        ({"outdated": None}, False, ["has no record of what it started with"]),
        ({"rivals": [Rival("user unit", USER_UNIT, "1000")]}, False, ["x.service is disabled"]),
        (
            {"rivals": [Rival("user unit", USER_UNIT, "1000")], "outdated": None},
            False,
            ["has no record", "is disabled"],
        ),
    ],
)
def test_restart_has_a_reason(changes: dict[str, Any], pending: bool, reasons: list[str]) -> None:
    of = local_plan()
    current = replace(done(of), **changes)
    actual = restart_reasons(of, current, pending=pending)
    assert len(actual) == len(reasons) and all(text in reason for reason, text in zip(actual, reasons, strict=True))
    steps = service_steps(of, current, pending=pending)
    assert steps.restart == bool(reasons) and set(actual) <= set(steps.reasons)
    assert not service_steps(of, current, start=False, pending=pending).start


def test_stopped_service_has_no_reason_to_start() -> None:
    of = local_plan()
    steps = service_steps(of, bare(of), start=False)
    assert steps.units and steps.logs and not steps.start and not steps.restart
    assert not [reason for reason in steps.reasons if "inactive" in reason or "enabled" in reason]


def test_changed_retry_unit_hides_no_restart() -> None:
    of = local_plan(**SQUASHED)
    files = {**done(of).files, texts.retry_path(of): "other\n"}
    steps = service_steps(of, replace(done(of), files=files, outdated=["/opt/nanoclaw/.env"]))
    assert steps.reasons == (
        f"{texts.retry_path(of)} differs",
        f"{of.unit} started before a change: /opt/nanoclaw/.env",
    )


def test_squashing_server_decides_the_owner_of_logs() -> None:
    local, on_pods = local_plan(), local_plan(**SQUASHED, nanoclaw_root="/pods/nanoclaw")
    for of, expected in ((local, ["owner"]), (on_pods, [])):
        logs = {**done(of).logs, texts.log_files(of)[0]: Place("file", 4, 4, "0644")}
        assert [what for what, _path in service_steps(of, replace(done(of), logs=logs)).logs] == expected


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"unit": replace(UP, enabled="masked")}, ["masked", "systemctl unmask"]),
        ({"account": Account(7, 7, "/home/nanoclaw", "nanoclaw")}, ["7:7", "nanoclaw_uid"]),
        ({"rivals": [Rival("process", "42", "/user.slice")]}, ["process 42", "/user.slice", "stop it"]),
        ({"rivals": [Rival("unit", "/etc/systemd/system/x.service")]}, ["systemctl disable --now x.service"]),
        ({"rivals": [Rival("user unit", "/h/x.service")]}, ["--user --machine=nanoclaw@", "x.service"]),
        ({"rivals": [Rival("sleeping user unit", "/h/x.service", "1000")]}, ["/h/x.service", "enable-linger 1000"]),
        (
            {"rivals": [Rival("earlier unit", "a.service")]},
            ["another project root", "systemctl disable --now a.service"],
        ),
        ({"logs": {"/opt/nanoclaw/logs": Place("link")}}, ["/opt/nanoclaw/logs is a link", "move it away"]),
    ],
)
def test_refusal_names_the_way_out(changes: dict[str, Any], parts: list[str]) -> None:
    (problem,) = refusals(local_plan(), replace(done(local_plan()), **changes))
    assert all(word in problem for word in parts)


Run = Callable[[ServiceState, HostPlan], list[str]]


@pytest.fixture
def run(execute: Execute) -> Run:
    return lambda state, of: execute(operations.host_service, [state], of)


def test_second_run_does_nothing(run: Run) -> None:
    assert run(done(local_plan()), local_plan()) == []


def test_first_run_creates_logs_installs_and_starts(run: Run) -> None:
    of = local_plan(nanoclaw_uid=1500)
    current = replace(bare(of), account=texts.expected_account(of))
    logs, units, rotation, start = run(current, of)
    made = json.loads(logs.removeprefix("service.make_logs "))
    assert made["owner"] == [1500, 1500]
    assert made["steps"] == [
        ["directory", "/opt/nanoclaw/logs"],
        ["file", "/opt/nanoclaw/logs/nanoclaw.log"],
        ["file", "/opt/nanoclaw/logs/nanoclaw.error.log"],
    ]
    request = {"gid": 1500, "uid": 1500, "unit": of.unit, "user": "nanoclaw"}
    assert json.loads(units.removeprefix("service.install_units ").partition(" < ")[0]) == request
    assert json.loads(rotation.split(" ", 1)[1].partition(" < ")[0])["validate"] == ["logrotate", "-d", "{}"]
    assert json.loads(start.split(" ", 1)[1])["restart"] is True


def test_logs_on_a_squashing_server_are_not_chowned(run: Run) -> None:
    of = local_plan(**SQUASHED, nanoclaw_root="/pods/nanoclaw")
    current = replace(bare(of), account=texts.expected_account(of))
    assert json.loads(run(current, of)[0].removeprefix("service.make_logs "))["owner"] is None


def test_missing_user_is_refused(run: Run) -> None:
    with pytest.raises(OperationError, match="no user nanoclaw"):
        run(bare(local_plan()), local_plan())
