"""A service serves if it answers on its socket, in its current start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from files.pods.common.docker import agent_ids
from files.pods.common.protocol import decode
from files.pods.service import ncl_health
from files.pods.service import serving as programs
from files.pods.service.ncl_health import ncl_problem
from files.pods.service.protocol import ServingState, ServingStateRequest, StartRequest
from files.pods.service.serving import UnitServing, serving
from tests.programs import request_argv

ME = (os.getuid(), os.getgid())
UNIT = "nanoclaw-v2-00000000.service"
LISTEN = """
import os, socket, sys
os.chdir(sys.argv[1])
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[2])
server.listen()
open("ready", "w").close()
while True:
    client, _ = server.accept()
    client.recv(10)
    client.close()
"""
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$FAKE/calls"
[ "$1" = show ] && cat "$FAKE/shown"
[ -e "$FAKE/on-$1" ] && . "$FAKE/on-$1"
exit 0
"""


class Machine:
    """A project root, a fake systemctl, and processes that listen."""

    def __init__(self, base: Path, stack: ExitStack) -> None:
        self.root, self.fake, self.stack = base / "root", base / "fake", stack
        (self.root / "data").mkdir(parents=True)
        (self.fake / "bin").mkdir(parents=True)
        self.program("systemctl", SYSTEMCTL)
        self.says(0)

    def program(self, name: str, text: str) -> None:
        path = self.fake / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def says(self, pid: int, active: str = "active", invocation: str = "a1", seconds: float = 100) -> None:
        start = int((time.clock_gettime(time.CLOCK_MONOTONIC) - seconds) * 1e6)
        lines = {
            "ActiveState": active,
            "SubState": "running",
            "MainPID": pid,
            "InvocationID": invocation,
            "ExecMainStartTimestampMonotonic": start,
        }
        (self.fake / "shown").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def listens(self, name: str = "cli.sock", invocation: str = "") -> int:
        argv = [sys.executable, "-c", LISTEN, str(self.root / "data"), name]
        child = self.stack.enter_context(subprocess.Popen(argv, env={**os.environ, "INVOCATION_ID": invocation}))
        self.stack.callback(child.kill)
        end = time.monotonic() + 20
        while not (self.root / "data/ready").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        return child.pid

    def crashed(self, attempt: int, seconds_ago: float) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - seconds_ago))
        text = json.dumps({"attempt": attempt, "timestamp": at})
        (self.root / "data/circuit-breaker.json").write_text(text)

    def look(self) -> UnitServing:
        return serving(UNIT, str(self.root), ME)

    def start(self) -> subprocess.CompletedProcess[str]:
        log, errors = (str(self.root / f"nanoclaw{part}.log") for part in ("", ".error"))
        request = StartRequest(
            "me", *ME, unit=UNIT, restart=True, root=str(self.root), log=log, errors=errors, install="00000000"
        )
        return subprocess.run(request_argv(request), capture_output=True, text=True, timeout=120)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(programs, "ANSWER_SECONDS", 2)
    with ExitStack() as stack:
        it = Machine(tmp_path, stack)
        monkeypatch.setenv("PATH", f"{it.fake}/bin:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE", str(it.fake))
        yield it


def test_service_with_an_answering_main_process_serves(machine: Machine) -> None:
    machine.says(machine.listens())
    now = machine.look()
    assert (now.answers, now.why, now.pause) == (True, "", 0)


def test_child_of_this_start_may_answer(machine: Machine) -> None:
    machine.listens(invocation="a1")
    machine.says(1)
    assert machine.look().answers


def test_process_of_an_earlier_start_does_not_count(machine: Machine) -> None:
    pid = machine.listens(invocation="of-yesterday")
    machine.says(1)
    now = machine.look()
    assert not now.answers
    assert f"process {pid} answers" in now.why and "did not start it" in now.why


def test_stopped_process_does_not_serve(machine: Machine) -> None:
    pid = machine.listens()
    machine.says(pid)
    os.kill(pid, signal.SIGSTOP)
    now = machine.look()
    assert not now.answers and "no answer within" in now.why


def test_active_unit_without_socket_does_not_serve(machine: Machine) -> None:
    machine.says(os.getpid())
    now = machine.look()
    assert not now.answers
    assert "is active and serves nothing" in now.why and "cli.sock: [Errno 2]" in now.why


@pytest.mark.parametrize(("attempt", "ago", "left"), [(3, 1, 9), (5, 20, 100), (6, 0, 300), (40, 100, 800)])
def test_pause_of_the_circuit_breaker_is_reported(machine: Machine, attempt: int, ago: float, left: int) -> None:
    machine.says(os.getpid())
    machine.crashed(attempt, ago)
    now = machine.look()
    assert now.pause == pytest.approx(left, abs=3)
    assert f"after {attempt - 1} crashes its circuit breaker delays the start until" in now.why


@pytest.mark.parametrize(("attempt", "ago"), [(2, 1), (3, 30), (5, 4000), (0, 0), (-3, 0)])
def test_old_pause_does_not_count(machine: Machine, attempt: int, ago: float) -> None:
    machine.says(os.getpid(), seconds=ago if ago < 1000 else 10)
    machine.crashed(attempt, ago)
    assert machine.look().pause == 0


def test_odd_file_of_the_circuit_breaker_is_ignored(machine: Machine, tmp_path: Path) -> None:
    machine.says(os.getpid())
    path = machine.root / "data/circuit-breaker.json"
    good = '{"timestamp": "2026-01-01T00:00:00.000Z", "attempt": %s}'
    odd = ["", "[]", '{"attempt": "x", "timestamp": "y"}', '{"attempt": 1e999, "timestamp": 1}', "\0"]
    for text in (good % "1e999", good % ("9" * 4000), *odd):
        path.write_text(text)
        assert machine.look().pause == 0
    path.unlink()
    os.mkfifo(path)
    assert machine.look().pause == 0


def test_newer_socket_is_preferred(machine: Machine) -> None:
    machine.says(machine.listens("cli.sock"))
    (machine.root / "src/cli").mkdir(parents=True)
    (machine.root / "src/cli/socket-server.ts").write_text("")
    assert "ncl.sock" in machine.look().why


def test_project_root_may_have_a_long_path(machine: Machine) -> None:
    deep = machine.root / ("d" * 120)
    (deep / "data").mkdir(parents=True)
    machine.root = deep
    machine.says(machine.listens())
    assert machine.look().answers


def test_failed_connection_is_no_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead file system below the root; a Python that does not start, or prints something else."""
    machine.says(machine.listens())
    machine.crashed(5, 20)
    odd = machine.fake / "bin/odd"
    odd.write_text("#!/bin/sh\necho no JSON\n")
    odd.chmod(0o755)
    for python, patience, why in (
        (sys.executable, 0.001, "no answer within 0.002 s"),
        ("/nowhere/python3", 2, "No such file or directory: '/nowhere/python3'"),
        (str(odd), 2, "Expecting value"),
    ):
        monkeypatch.setattr(sys, "executable", python)
        monkeypatch.setattr(programs, "ANSWER_SECONDS", patience)
        now = machine.look()
        assert (now.active, now.answers, now.pause) == ("active", False, 0)
        assert why in now.why and now.why.startswith(f"{UNIT} is active and serves nothing: {machine.root}/data/")


def test_unit_unknown_to_systemd_is_reported(machine: Machine) -> None:
    (machine.fake / "shown").write_text("Warning: nothing is known\n")
    now = machine.look()
    assert (now.answers, now.why) == (False, f"{UNIT} is unknown to systemd ()")


BANNER = "\\n".join(
    ["=" * 64, "NanoClaw stopped: update did not go through the supported path", *"abcdefghijklmnopqrst"]
)


@pytest.mark.parametrize(("active", "text"), [("failed", "starts, then exits"), ("activating", "starts, then exits")])
def test_failed_start_shows_its_log_from_the_title_on(machine: Machine, active: str, text: str) -> None:
    errors = machine.root / "nanoclaw.error.log"
    errors.write_text("of an earlier start\n" * 50)
    machine.says(0, active=active)
    (machine.fake / "on-start").write_text(f"printf '{BANNER}\\n\\033[31mred\\n' >> {errors}\n")
    machine.program("journalctl", "#!/bin/sh\necho the journal\n")
    machine.program("docker", "#!/bin/sh\n")
    done = machine.start()
    assert done.returncode != 0
    assert text in done.stderr
    assert "NanoClaw stopped: update did not go through the supported path" in done.stderr
    assert "of an earlier start" not in done.stderr and "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("verb", "why"),
    [
        ("enable", "cannot be enabled: Unit file is bad\n"),
        ("stop", "does not stop: Unit file is bad\n"),
        ("start", "does not start: Unit file is bad\n\nthe journal of "),
    ],
)
def test_refusal_of_systemd_ends_the_start_with_its_text(machine: Machine, verb: str, why: str) -> None:
    (machine.fake / f"on-{verb}").write_text("echo Unit file is bad; exit 1\n")
    machine.program("journalctl", "#!/bin/sh\n")
    machine.program("docker", "#!/bin/sh\n")
    done = machine.start()
    assert done.returncode == 1 and done.stderr.startswith(f"{UNIT} {why}"), done.stderr
    calls = [line.split()[0] for line in (machine.fake / "calls").read_text().splitlines()]
    assert calls[-1] == verb, "nothing follows"


def test_start_with_a_condition_that_is_not_met_ends_with_the_way_out(machine: Machine) -> None:
    """systemctl start succeeds then, and nothing runs."""
    machine.program("systemctl", SYSTEMCTL.replace("exit 0", "case $* in *ConditionResult*) echo no;; esac"))
    machine.program("docker", "#!/bin/sh\n")
    (machine.fake / "shown").write_text("")
    done = machine.start()
    why = f"{UNIT} does not start: a condition of it is not met (systemctl status {UNIT}).\n"
    assert (done.returncode, done.stderr) == (1, why)


def test_start_resets_the_crash_count_stops_agents_and_waits(machine: Machine) -> None:
    machine.says(machine.listens())
    machine.crashed(7, 1)
    listed = "11\\t\\t\\n22\\tsess-1\\tagent\\n33\\t\\tgateway\\n"
    created = "44\\tsess-2\\tagent\\n55\\tsess-3\\tgateway\\n"
    lists = f'case "$*" in *created*) printf "{created}";; ps*) printf "{listed}";; esac'
    machine.program("docker", f'#!/bin/sh\necho "$*" >> "$FAKE/docker"\n{lists}\n')
    done = machine.start()
    assert done.returncode == 0, done.stderr
    assert not (machine.root / "data/circuit-breaker.json").exists()
    calls = (machine.fake / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls if not call.startswith("show")] == [
        "enable",
        "stop",
        "reset-failed",
        "start",
    ]
    calls = [call for call in (machine.fake / "docker").read_text().splitlines() if not call.startswith("ps")]
    assert calls == ["rm --force 44", "stop --time=3 11 22"]


def test_agents_that_cannot_be_stopped_are_reported_once_the_service_serves(machine: Machine) -> None:
    machine.says(machine.listens())
    machine.program("docker", "#!/bin/sh\nexit 1\n")
    done = machine.start()
    assert done.returncode == 1
    assert f"{UNIT} serves, but agents of its last start may still run with the image and the ids of" in done.stderr
    assert "start" in [call.split()[0] for call in (machine.fake / "calls").read_text().splitlines()]


def test_container_of_a_gateway_is_no_agent() -> None:
    rows = ["a\t\t", "b\tsess\tagent", "c\t\tgateway", "d\tsess\t", "e\t\tsession-network", "f", "g\tsess\tgateway"]
    assert agent_ids("\n".join(rows) + "\n\n") == ["a", "b", "d", "f"]


def test_state_compares_build_and_checkout(machine: Machine) -> None:
    subprocess.run(["git", "init", "--quiet", str(machine.root)], check=True)
    git = ["git", "-C", str(machine.root), "-c", "user.name=a", "-c", "user.email=a@lab.invalid"]
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "one"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    stamp, started = machine.root / ".git/nanoclaw-pods-build", machine.fake / "started"
    stamp.write_text(json.dumps({"commit": head}))
    started.write_text(subprocess.run(["sha256sum", str(stamp)], capture_output=True, text=True).stdout)
    machine.says(machine.listens())
    request = ServingStateRequest(
        "no-such-user",
        *ME,
        unit=UNIT,
        root=str(machine.root),
        inputs=[str(stamp)],
        started=str(started),
        errors=str(machine.root / "nanoclaw.error.log"),
        onecli="http://127.0.0.1:1",
    )

    def look() -> ServingState:
        done = subprocess.run(request_argv(request), capture_output=True, text=True, timeout=60, check=True)
        return decode(ServingState, json.loads(done.stdout), request.entry)

    good = ServingState(True, "", [], [], head, head, None)
    assert look() == good
    stamp.write_text(json.dumps({"commit": "another"}))
    assert look() == replace(good, outdated=[str(stamp)], built="another")
    stamp.write_text(json.dumps({"commit": head}))
    (machine.root / "package.json").write_text('{"version": "2.1.17", "dependencies": {"@onecli-sh/sdk": "^2.2.1"}}')
    state = look()
    assert state.answers and state.health and state.health.status is None, "it needs a OneCLI, and none is there"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ('echo "$@" >"$0.args"', ""),
        ("echo one; echo the host does not listen >&2; exit 1", " fails (status 1): the host does not listen"),
        ("exit 3", " fails (status 3): no output"),
        ("sleep 60", " did not end within 1 s"),
        (None, " cannot be run (Permission denied)"),
    ],
)
def test_command_line_of_nanoclaw_must_get_a_reply(
    machine: Machine, program: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncl_health, "SECONDS", 1)
    ncl, root = machine.root / "bin/ncl", machine.root
    ncl.parent.mkdir()
    ncl.write_text(f"#!/bin/sh\n{program}\n")
    ncl.chmod(0o755 if program else 0o644)
    assert ncl_problem(str(root)) == "", "a version without ncl.sock"
    machine.listens("ncl.sock")
    what = f"{root}/data/ncl.sock accepts connections, but {ncl} groups list"
    assert ncl_problem(str(root)) == (f"{what}{why}" if why else "")
    if not why:
        assert Path(f"{ncl}.args").read_text() == "groups list\n"
    ncl.unlink()
    assert ncl_problem(str(root)) == "", "a version without a command line"


def test_state_has_the_failure_of_the_command_line_with_the_end_of_the_log(machine: Machine) -> None:
    root = machine.root
    (root / "src/cli").mkdir(parents=True)
    (root / "src/cli/socket-server.ts").write_text("")
    (root / "bin").mkdir()
    (root / "bin/ncl").write_text("#!/bin/sh\necho no reply; exit 1\n")
    (root / "bin/ncl").chmod(0o755)
    (root / "nanoclaw.error.log").write_text("the database is locked\n")
    machine.says(machine.listens("ncl.sock"))
    errors, started = str(root / "nanoclaw.error.log"), str(machine.fake / "started")
    request = ServingStateRequest("no-such-user", *ME, UNIT, str(root), [], started, errors, None)
    done = subprocess.run(request_argv(request), capture_output=True, text=True, timeout=60, check=True)
    state = decode(ServingState, json.loads(done.stdout), request.entry)
    assert (state.answers, state.output) == (False, ["the database is locked"])
    assert state.why.endswith("bin/ncl groups list fails (status 1): no reply")


@pytest.mark.parametrize(("pause", "waits"), [(300, False), (5, True)])
def test_pause_longer_than_the_deadline_ends_the_wait(monkeypatch: pytest.MonkeyPatch, pause: int, waits: bool) -> None:
    answers = [UnitServing(False, "not yet", "active", invocation="1", pause=pause)]
    answers += [UnitServing(True, "", "active", invocation="1")]
    monkeypatch.setattr(programs, "serving", lambda *_args: answers[0] if len(answers) > 1 else answers[-1])
    monkeypatch.setattr(time, "sleep", lambda _seconds: answers.pop(0))
    now = programs.wait_until_serving("n.service", "/opt/nanoclaw", (1000, 1000), 20)
    assert now.answers == waits and len(answers) == 2 - waits
