"""The gate passes if a container wrote, the command succeeded, and the service answers."""

from __future__ import annotations

import json
import os
import pwd
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.probe.protocol import Container, Observations, Step
from files.pods.service.serving import UnitServing
from files.pods.transition import gate as migration_gate
from files.pods.transition.documents import Run
from files.pods.transition.gate import main
from files.pods.transition.protocol import GateRequest
from tests.processes import is_gone
from tests.unit.trees.trees import needs_root

GOOD = Observations({}, [], seconds=3.5, steps=[Step("host", "make a session")], relied=["process", "container"])
BAD_STEP = Step("agent", "write outbound.db", "EACCES", "Permission denied")


@pytest.fixture
def serves(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the wait for the service, and its reply."""
    service: dict[str, Any] = {"answer": UnitServing(True, "")}

    def wait(unit: str, root: str, user: tuple[int, int], seconds: float) -> UnitServing:
        service["asked"] = (unit, root, user, seconds)
        answer: UnitServing = service["answer"]
        return answer

    monkeypatch.setattr(migration_gate, "wait_until_serving", wait)
    return service


def ask(
    root: Path, probe: Observations | str = GOOD, command: list[str] | None = None, status: int = 0, **more: Any
) -> dict[str, Any]:
    text = probe if isinstance(probe, str) else json.dumps(probe.document())
    me = pwd.getpwuid(os.getuid())
    script = (
        f"import sys; print('waiting'); print({text!r}); print('why it failed', file=sys.stderr); sys.exit({status})"
    )
    run = Run([sys.executable, "-c", script], "")
    request = GateRequest(me.pw_name, me.pw_uid, me.pw_gid, run, "n.service", str(root), command, 20)
    return main(replace(request, **more))


def test_v2_that_writes_and_serves_passes(tmp_path: Path, serves: dict[str, Any]) -> None:
    assert ask(tmp_path) == {"probe": 3.5, "command": None}
    assert serves["asked"][:3] == ("n.service", str(tmp_path), (os.getuid(), os.getgid()))


@pytest.mark.parametrize(("status", "passes"), [(0, True), (1, False)])
def test_command_line_of_nanoclaw_must_get_a_reply(
    tmp_path: Path, serves: dict[str, Any], status: int, passes: bool
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ncl.sock").touch()
    (tmp_path / "bin/ncl").write_text(f"#!/bin/sh\necho $USER: $*\nexit {status}\n")
    (tmp_path / "bin/ncl").chmod(0o755)
    if passes:
        assert ask(tmp_path)["probe"] == 3.5
    else:
        with pytest.raises(
            SystemExit, match=rf"groups list fails \(status 1\): {pwd.getpwuid(os.getuid()).pw_name}: groups"
        ):
            ask(tmp_path)


@pytest.mark.parametrize(
    ("differs", "text"),
    [
        ({"steps": [BAD_STEP]}, "the probe: agent: write outbound.db: Permission denied"),
        ({"missing": ["/pods"]}, "the probe: nothing is mounted at /pods"),
        ({"relied": ["process"], "container": Container("no image", "x")}, "no container has written: no image x"),
        ({"relied": []}, "no container has written: it was not started"),
    ],
)
def test_probe_with_a_finding_fails(tmp_path: Path, serves: dict[str, Any], differs: dict[str, Any], text: str) -> None:
    with pytest.raises(SystemExit) as failure:
        ask(tmp_path, replace(GOOD, **differs))
    assert text in str(failure.value.code) and "asked" not in serves


def test_long_output_of_a_failed_probe_is_cut() -> None:
    """Of the last half kilobyte a message shows as much as of any text of others."""
    script = "import sys; sys.exit('a' * 600 + 'b' * 399)"
    with pytest.raises(SystemExit) as failure:
        migration_gate.run_probe(Run([sys.executable, "-c", script], ""))
    assert str(failure.value.code) == f"the probe failed: {'a' * 101}{'b' * 99}"


def test_failed_probe_fails_with_its_output(tmp_path: Path, serves: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="the probe failed: why it failed"):
        ask(tmp_path, status=3)


@pytest.mark.parametrize("output", ["", "no document", '{"steps": []}', "[]"])
def test_probe_without_a_report_fails(tmp_path: Path, serves: dict[str, Any], output: str) -> None:
    with pytest.raises(SystemExit, match="the probe printed no report"):
        ask(tmp_path, output)


def test_command_runs_in_the_project_root_and_its_last_line_is_kept(tmp_path: Path, serves: dict[str, Any]) -> None:
    command = ["sh", "-c", "pwd; echo first; printf 'echo: \\033hello\\n' >&2"]
    assert ask(tmp_path, command=command) == {"probe": 3.5, "command": "echo: \\x1bhello"}
    assert ask(tmp_path, command=["sh", "-c", "pwd"])["command"] == str(tmp_path)
    assert ask(tmp_path, command=["true"])["command"] == ""
    assert ask(tmp_path, command=["printf", "caf\\351"])["command"] == "caf\ufffd"


@needs_root
def test_command_runs_as_the_host_user(tmp_path: Path, serves: dict[str, Any]) -> None:
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    command = ["sh", "-c", "echo $(id -u):$(id -g) $(id -G) $HOME"]
    home = pwd.getpwnam("nobody").pw_dir
    answer = ask(tmp_path, command=command, user="nobody", uid=65534, gid=65534)
    assert answer["command"] == f"65534:65534 65534 {home}"
    assert serves["asked"][2] == (65534, 65534)


def test_command_with_another_status_fails(tmp_path: Path, serves: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match=r"no answer \(status 7\) from sh -c .*: nobody there"):
        ask(tmp_path, command=["sh", "-c", "echo nobody there; exit 7"])
    assert "asked" not in serves


def test_command_that_times_out_is_killed_with_its_children(tmp_path: Path, serves: dict[str, Any]) -> None:
    command = ["sh", "-c", "sleep 100 & echo $! > child; wait"]
    with pytest.raises(SystemExit, match="no answer within 1 s: sh -c"):
        ask(tmp_path, command=command, seconds=1)
    assert is_gone(int((tmp_path / "child").read_text()))


def test_missing_command_fails(tmp_path: Path, serves: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match=r"no answer from no-such-program: .*No such file"):
        ask(tmp_path, command=["no-such-program"])


def test_service_that_does_not_answer_afterwards_fails(tmp_path: Path, serves: dict[str, Any]) -> None:
    serves["answer"] = UnitServing(False, "n.service is failed (exit-code)")
    with pytest.raises(SystemExit, match=r"n\.service is failed \(exit-code\)"):
        ask(tmp_path, command=["true"])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What systemd says about the last start of the service, which was this second."""
    now = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6)
    shown = {"ActiveState": "active", "MainPID": "7", "InvocationID": "a", "NRestarts": "0", migration_gate.STARTED: ""}
    shown[migration_gate.STARTED] = str(now)
    monkeypatch.setattr(migration_gate, "unit_properties", lambda _unit, *names: {name: shown[name] for name in names})
    return shown


@pytest.mark.usefixtures("serves")
def test_service_must_stay_up(tmp_path: Path, started: dict[str, str]) -> None:
    begun = time.monotonic()
    assert ask(tmp_path, stable=2)["probe"] == 3.5
    assert time.monotonic() - begun > 1.5


@pytest.mark.usefixtures("serves")
@pytest.mark.parametrize(
    ("name", "value"),
    [("MainPID", "8"), ("InvocationID", "b"), ("NRestarts", "1"), ("ActiveState", "activating")],
)
def test_service_that_ended_meanwhile_fails(tmp_path: Path, started: dict[str, str], name: str, value: str) -> None:
    timer = threading.Timer(1, started.update, [{name: value}])
    timer.start()
    with pytest.raises(SystemExit, match=r"n\.service did not stay up: it was process 7 when the gate began"):
        ask(tmp_path, stable=20)
    timer.join()


@pytest.mark.usefixtures("serves")
def test_service_that_is_old_enough_keeps_nobody_waiting(tmp_path: Path, started: dict[str, str]) -> None:
    started[migration_gate.STARTED] = "1"
    begun = time.monotonic()
    ask(tmp_path, stable=30)
    assert time.monotonic() - begun < 10
