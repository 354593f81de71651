"""The runner of a migration's steps: what it notes, and that what came to no end is put back."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from files.pods.migration import runner as migration_run
from tasks.model.migration.journal import Journal
from tests.programs import program_argv

HEAD = {
    "host": "h",
    "v1": "/v1",
    "root": "/v2",
    "unit": "nanoclaw.service",
    "versions": {"v1": "1", "v2": "2"},
    "chats": "ab",
}


class Runner:
    """A directory with a runner in it, as files/pods/migration/start.py leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state"
        self.folder.mkdir()
        self.marker, self.head = folder / "marker", dict(HEAD)

    def words(self, *, back: bool) -> list[str]:
        """Its command line; as ExecStopPost= has it where `back`."""
        return program_argv("migration.runner", {"directory": str(self.folder), "back": back})

    def asks(self, part: str, *steps: tuple[str, str], back: str = "echo '{}'") -> list[str]:
        """Its command line, to run steps that are given as name and shell command."""
        listed = [{"name": name, "argv": ["sh", "-c", command], "input": "", "seconds": 20} for name, command in steps]
        work = {
            "part": part,
            "head": self.head,
            "steps": listed,
            "back": {"argv": ["sh", "-c", back], "input": ""},
            "marker": str(self.marker),
        }
        (self.folder / "work.json").write_text(json.dumps(work), encoding="utf-8")
        return self.words(back=False)

    def run(self, part: str, *steps: tuple[str, str], back: str = "echo '{}'") -> subprocess.CompletedProcess[str]:
        words = self.asks(part, *steps, back=back)
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        subprocess.run(self.words(back=True), timeout=60, check=True)  # as ExecStopPost= does, however it ended
        return done

    @property
    def journal(self) -> Journal:
        return Journal.from_json((self.folder / "journal.json").read_text(encoding="utf-8"))

    @property
    def state(self) -> str:
        return str(self.journal.state)

    def states(self) -> dict[str, str]:
        return {step.name: step.state for step in self.journal.steps}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_both_parts_to_their_end(runner: Runner) -> None:
    assert runner.run("staging", ("view", "echo noise; echo '{\"a\": 1}'")).returncode == 0
    assert runner.state == "staged" and runner.journal.attempt == 1
    assert runner.journal.steps[0].said == '{"a": 1}'
    switch = (("stop v1", "true"), ("prove v2", "sleep 0.2"), ("decide for v2", f"touch {runner.marker}"))
    assert runner.run("switching", *switch).returncode == 0
    found = runner.journal
    assert found.state == "finished" and set(runner.states().values()) == {"done"}
    assert found.seconds_without_service is not None and found.seconds_without_service >= 0.2


def test_a_step_that_fails_with_many_words_does_not_have_the_end_wait_for_a_reader(runner: Runner) -> None:
    words = runner.asks("switching", ("stop v1", "true"), ("copy", "head -c 150000 /dev/zero | tr '\\0' x >&2; exit 3"))
    with subprocess.Popen(words, stderr=subprocess.PIPE) as child:
        assert child.wait(20) == 1
    assert len(runner.journal.steps[-1].said) == 150_000


def test_a_failed_step_ends_the_switch_and_v1_is_put_back(runner: Runner) -> None:
    runner.run("staging", ("view", "true"))
    done = runner.run("switching", ("stop v1", "true"), ("copy", "echo disk full >&2; exit 3"), ("never", "true"))
    assert done.returncode == 1 and "copy: disk full" in done.stderr
    states = runner.states()
    assert states["copy"] == "failed" and states["put v1 back"] == "done" and "never" not in states
    assert runner.state == "rolled back"
    runner.run("staging", ("view", "true"))
    assert runner.state == "staged" and runner.journal.attempt == 2 and "copy" not in runner.states()


def test_what_was_made_ready_is_gone_on_with_unless_it_was_interrupted_or_switched_to(runner: Runner) -> None:
    aside = ("put an earlier attempt aside", f"grep -o '\"aside\": [a-z]*' {runner.folder}/journal.json")
    runner.run("staging", aside)
    runner.run("staging", aside)
    assert runner.journal.steps[0].said == '"aside": false'
    runner.head["chats"] = "others"
    runner.run("staging", aside)
    assert runner.journal.steps[0].said == '"aside": true'
    runner.run("staging", aside, ("view", "false"))
    runner.run("staging", ("put an earlier attempt aside", "false"))
    runner.run("staging", aside, ("view", "true"))
    assert runner.journal.steps[0].said == '"aside": true' and not runner.journal.aside
    runner.run("switching", ("stop v1", "false"))
    runner.run("staging", aside)
    assert runner.journal.steps[0].said == '"aside": true'


def test_a_failure_while_v1_serves_puts_nothing_back(runner: Runner) -> None:
    assert runner.run("staging", ("view", "false"), back="touch /never; false").returncode == 1
    assert runner.states() == {"view": "failed"} and runner.state == "staging"


@pytest.mark.parametrize("moment", ["stop v1", "copy"])
def test_a_runner_that_is_killed_is_put_back(runner: Runner, moment: str) -> None:
    words = runner.asks(
        "switching", *((name, "sleep 20" if name == moment else "true") for name in ("stop v1", "copy"))
    )
    child = subprocess.Popen(words, start_new_session=True)
    while not (runner.folder / "journal.json").exists() or runner.states().get(moment) != "running":
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    subprocess.run(runner.words(back=True), timeout=60, check=True)
    assert runner.state == "rolled back" and runner.states()["put v1 back"] == "done"


def test_what_a_crash_of_the_machine_left_is_noted_by_the_next_call(runner: Runner) -> None:
    """No ExecStopPost= ran: v1 has started by itself, and the journal says that a switch is under way."""
    words = runner.asks("switching", ("stop v1", "exit 1"))
    subprocess.run(words, timeout=60, check=False)
    assert runner.state == "switching"
    runner.run("staging", ("view", "true"))
    assert runner.state == "staged"


def test_once_it_is_decided_nothing_is_put_back(runner: Runner) -> None:
    words = runner.asks("switching", ("decide for v2", f"touch {runner.marker}; kill -9 $PPID"), back="false")
    subprocess.run(words, timeout=60, check=False)
    subprocess.run(runner.words(back=True), timeout=60, check=True)
    assert runner.state == "finished"


def test_a_step_that_takes_too_long_fails_with_all_that_it_started(runner: Runner) -> None:
    words = runner.asks("staging", ("copy", "sleep 300 & sleep 300"))
    work: dict[str, Any] = json.loads((runner.folder / "work.json").read_text())
    work["steps"][0]["seconds"] = 1
    (runner.folder / "work.json").write_text(json.dumps(work))
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert "no end within 1 s" in done.stderr


def test_a_full_disk_does_not_keep_v1_down(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(runner.asks("switching", ("stop v1", "exit 1")), timeout=60, check=False)
    notes = migration_run.Notes(str(runner.folder))

    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(migration_run, "replace", full)
    migration_run.put_back(
        notes, {"marker": str(runner.marker), "back": {"argv": ["touch", str(tmp_path / "v1-runs")], "input": ""}}
    )
    assert (tmp_path / "v1-runs").exists()


def test_v1_is_put_back_at_the_second_try_too(runner: Runner, tmp_path: Path) -> None:
    once = f"mkdir {tmp_path}/tried || exit 0; echo Docker is silent >&2; exit 1"
    runner.run("switching", ("stop v1", "exit 1"), back=once)
    assert runner.state == "rolled back"


def test_a_v1_that_cannot_be_put_back_ends_the_next_run_before_it_does_anything(runner: Runner) -> None:
    words = runner.asks("switching", ("stop v1", "exit 1"))
    subprocess.run(words, timeout=60, check=False)
    words = runner.asks("staging", ("view", "true"), back="echo no bus >&2; exit 1")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "v1 could not be put back: no bus" in done.stderr
    assert runner.state == "switching" and "view" not in runner.states()
