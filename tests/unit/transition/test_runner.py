"""The runner of a migration's steps: its journal, and the rollback of a switch that did not end."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.common import atomic_write
from files.pods.transition import journal as migration_journal
from files.pods.transition import runner as migration_runner
from files.pods.transition.documents import Head, Journal, PlannedStep, Work
from files.pods.transition.protocol import RunnerRequest
from files.pods.transition.step_ids import STEP_TEXTS_BEFORE_IDS, Mark, StepId
from tasks.model.host.step import Part
from tests.programs import request_argv

HEAD = Head("h", "/v1", "/v2", "nanoclaw.service", "ab", {"v1": "1", "v2": "2"})
MARKS = {
    StepId.ARCHIVE_ATTEMPT: Mark.ARCHIVES_ATTEMPT,
    StepId.STOP_V1: Mark.STOPS_SERVICE,
    StepId.GATE: Mark.PROVES_NEW,
    StepId.COMMIT: Mark.POINT_OF_NO_RETURN,
}
Command = tuple[StepId, str]
"""A step, and the shell command that stands for its program."""


def planned_step(step: StepId, command: str, seconds: int = 20) -> PlannedStep:
    marks = (MARKS[step],) if step in MARKS else ()
    return PlannedStep(["sh", "-c", command], "", step, f"text of {step.value}", seconds, marks)


class Runner:
    """A directory with a runner in it, as files/pods/transition/start.py leaves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "state"
        self.folder.mkdir()
        self.marker, self.head = folder / "marker", HEAD

    def argv(self, *, back: bool) -> list[str]:
        """Return its argv; with `back` that of ExecStopPost=."""
        return request_argv(RunnerRequest(str(self.folder), back))

    def prepare(self, part: Part, *steps: Command, back: str = "echo '{}'", seconds: int = 20) -> list[str]:
        """Write work.json; return the argv that runs it."""
        planned = [planned_step(step, command, seconds) for step, command in steps]
        work = Work(part, self.head, planned, planned_step(StepId.ROLL_BACK, back), str(self.marker), "/run/x.trying")
        (self.folder / "work.json").write_text(json.dumps(asdict(work)), encoding="utf-8")
        return self.argv(back=False)

    def run(self, part: Part, *steps: Command, back: str = "echo '{}'") -> subprocess.CompletedProcess[str]:
        argv = self.prepare(part, *steps, back=back)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        subprocess.run(self.argv(back=True), timeout=60, check=True)  # as ExecStopPost= does, however it ended
        return done

    @property
    def journal(self) -> Journal:
        journal = migration_journal.read_journal(str(self.folder))
        assert journal
        return journal

    @property
    def state(self) -> str:
        return str(self.journal.state)

    def states(self) -> dict[StepId | None, str]:
        return {step.id: step.state for step in self.journal.steps}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_runs_both_parts_to_their_end(runner: Runner) -> None:
    assert runner.run("staging", (StepId.SNAPSHOT, "echo noise; echo '{\"a\": 1}'")).returncode == 0
    assert runner.state == "staged" and runner.journal.attempt == 1
    assert (runner.folder / "journal.json").stat().st_mode & 0o777 == 0o600
    assert runner.journal.steps[0].output == '{"a": 1}'
    switch = ((StepId.STOP_V1, "true"), (StepId.GATE, "sleep 0.2"), (StepId.COMMIT, f"touch {runner.marker}"))
    assert runner.run("switching", *switch).returncode == 0
    journal = runner.journal
    assert journal.state == "finished" and set(runner.states().values()) == {"done"}
    assert journal.seconds_without_service is not None and journal.seconds_without_service >= 0.2


def test_long_output_of_a_failed_step_does_not_block_the_end(runner: Runner) -> None:
    argv = runner.prepare(
        "switching", (StepId.STOP_V1, "true"), (StepId.COPY, "head -c 150000 /dev/zero | tr '\\0' x >&2; exit 3")
    )
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        assert child.wait(20) == 1
        assert child.stderr and child.stderr.read() == f"text of copy: {'x' * 10_000}\n"
    assert len(runner.journal.steps[-1].output) == 150_000


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("printf 'noise\\ncaf\\351 \\n\\n'", "caf\ufffd"),
        ("true", ""),
        ("echo out; echo ' why ' >&2; exit 3", "why"),
        ("echo ' out '; exit 3", "out"),
        ("exit 3", "status 3"),
        ("kill -9 $$", "status -9"),
    ],
)
def test_journal_has_the_last_line_of_a_step_or_why_it_failed(runner: Runner, command: str, output: str) -> None:
    runner.run("staging", (StepId.SNAPSHOT, command))
    assert runner.journal.steps[0].output == output


def test_step_that_cannot_be_started_says_why(runner: Runner) -> None:
    step = replace(planned_step(StepId.SNAPSHOT, ""), argv=["/nonexistent/program"])
    failed, why = migration_runner.run(step)
    assert (failed, why) == (False, "/nonexistent/program: [Errno 2] No such file or directory: '/nonexistent/program'")


def test_journal_keeps_the_end_of_a_long_output(tmp_path: Path) -> None:
    journal = migration_journal.JournalFile(str(tmp_path), HEAD)
    journal.begin(StepId.COPY, "copy")
    journal.end(True, "x" + "y" * migration_journal.OUTPUT_CHARS)
    (step,) = journal.content.steps
    assert step.output == "y" * migration_journal.OUTPUT_CHARS and step.state == "done"


def test_failed_step_ends_the_switch_and_rolls_back(runner: Runner) -> None:
    runner.run("staging", (StepId.SNAPSHOT, "true"))
    done = runner.run(
        "switching", (StepId.STOP_V1, "true"), (StepId.COPY, "echo disk full >&2; exit 3"), (StepId.FIX_UP, "true")
    )
    assert done.returncode == 1 and "text of copy: disk full" in done.stderr
    states = runner.states()
    assert states[StepId.COPY] == "failed" and states[StepId.ROLL_BACK] == "done" and StepId.FIX_UP not in states
    assert runner.state == "rolled back"
    runner.run("staging", (StepId.SNAPSHOT, "true"))
    assert runner.state == "staged" and runner.journal.attempt == 2 and StepId.COPY not in runner.states()


def test_resume_reuses_staging_unless_it_was_interrupted_or_switched_to(runner: Runner) -> None:
    aside = (StepId.ARCHIVE_ATTEMPT, f"grep -o '\"aside\": [a-z]*' {runner.folder}/journal.json")
    runner.run("staging", aside)
    runner.run("staging", aside)
    assert runner.journal.steps[0].output == '"aside": false'
    runner.head = replace(HEAD, chats="others")
    runner.run("staging", aside)
    assert runner.journal.steps[0].output == '"aside": true'
    runner.run("staging", aside, (StepId.SNAPSHOT, "false"))
    runner.run("staging", (StepId.ARCHIVE_ATTEMPT, "false"))
    runner.run("staging", aside, (StepId.SNAPSHOT, "true"))
    assert runner.journal.steps[0].output == '"aside": true' and not runner.journal.aside
    runner.run("switching", (StepId.STOP_V1, "false"))
    runner.run("staging", aside)
    assert runner.journal.steps[0].output == '"aside": true'


def test_resume_reuses_staging_of_a_version_without_chats(runner: Runner) -> None:
    """Its journal has the outputs of steps as `said`."""
    step = {"name": "view v1", "state": "done", "started": 1.0, "ended": 2.0, "said": "{}"}
    head = {key: value for key, value in asdict(HEAD).items() if key != "chats"}
    old = {**head, "attempt": 1, "state": "staged", "steps": [step], "stopped": None, "serving": None}
    (runner.folder / "journal.json").write_text(json.dumps(old), encoding="utf-8")
    assert runner.journal.steps[0].output == "{}"
    runner.run("staging", (StepId.ARCHIVE_ATTEMPT, f"grep -o '\"aside\": [a-z]*' {runner.folder}/journal.json"))
    assert runner.journal.steps[0].output == '"aside": false' and runner.journal.attempt == 2


def test_failure_of_staging_rolls_nothing_back(runner: Runner) -> None:
    assert runner.run("staging", (StepId.SNAPSHOT, "false"), back="touch /never; false").returncode == 1
    assert runner.states() == {StepId.SNAPSHOT: "failed"} and runner.state == "staging"


@pytest.mark.parametrize("moment", [StepId.STOP_V1, StepId.COPY])
def test_killed_runner_is_rolled_back(runner: Runner, moment: StepId) -> None:
    argv = runner.prepare(
        "switching", *((step, "sleep 20" if step == moment else "true") for step in (StepId.STOP_V1, StepId.COPY))
    )
    child = subprocess.Popen(argv, start_new_session=True)
    while not (runner.folder / "journal.json").exists() or runner.states().get(moment) != "running":
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    subprocess.run(runner.argv(back=True), timeout=60, check=True)
    assert runner.state == "rolled back" and runner.states()[StepId.ROLL_BACK] == "done"


def test_next_call_ends_a_switch_that_a_crash_interrupted(runner: Runner) -> None:
    """No ExecStopPost= ran: v1 has started by itself, and the journal says that a switch is under way."""
    argv = runner.prepare("switching", (StepId.STOP_V1, "exit 1"))
    subprocess.run(argv, timeout=60, check=False)
    assert runner.state == "switching"
    runner.run("staging", (StepId.SNAPSHOT, "true"))
    assert runner.state == "staged"


def test_nothing_is_rolled_back_after_the_commit(runner: Runner) -> None:
    argv = runner.prepare("switching", (StepId.COMMIT, f"touch {runner.marker}; kill -9 $PPID"), back="false")
    subprocess.run(argv, timeout=60, check=False)
    subprocess.run(runner.argv(back=True), timeout=60, check=True)
    assert runner.state == "finished"


def test_step_that_times_out_is_killed_with_its_children(runner: Runner) -> None:
    argv = runner.prepare("staging", (StepId.COPY, "sleep 300 & sleep 300"), seconds=1)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert "no end within 1 s" in done.stderr


def test_full_disk_does_not_prevent_the_rollback(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(runner.prepare("switching", (StepId.STOP_V1, "exit 1")), timeout=60, check=False)
    journal = migration_journal.JournalFile(str(runner.folder), HEAD)

    def full(*_args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_write, "replace", full)
    back = planned_step(StepId.ROLL_BACK, f"touch {tmp_path}/v1-runs")
    migration_runner.finish_interrupted(journal, Work("switching", HEAD, [], back, str(runner.marker), ""))
    assert (tmp_path / "v1-runs").exists()


def test_rollback_is_tried_twice(runner: Runner, tmp_path: Path) -> None:
    once = f"mkdir {tmp_path}/tried || exit 0; echo Docker is silent >&2; exit 1"
    runner.run("switching", (StepId.STOP_V1, "exit 1"), back=once)
    assert runner.state == "rolled back"


def test_failed_rollback_ends_the_next_run_before_its_first_step(runner: Runner) -> None:
    argv = runner.prepare("switching", (StepId.STOP_V1, "exit 1"))
    subprocess.run(argv, timeout=60, check=False)
    argv = runner.prepare("staging", (StepId.SNAPSHOT, "true"), back="echo no bus >&2; exit 1")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and "could not roll back to v1: no bus" in done.stderr
    assert runner.state == "switching" and StepId.SNAPSHOT not in runner.states()


def test_resume_of_a_switch_by_a_version_without_ids(runner: Runner) -> None:
    """The role was upgraded while the machine was down: its journal knows steps by their texts alone."""
    texts = ("stop v1", "copy what has changed", "a step of no version")
    steps = [{"name": name, "state": "done", "started": 1.0, "ended": 2.0, "said": ""} for name in texts]
    old = {**asdict(HEAD), "attempt": 1, "state": "switching", "steps": steps, "stopped": 1.0, "serving": None}
    (runner.folder / "journal.json").write_text(json.dumps(old), encoding="utf-8")
    runner.prepare("staging")
    subprocess.run(runner.argv(back=True), timeout=60, check=True)
    ids = [step.id for step in runner.journal.steps]
    assert ids == [StepId.STOP_V1, StepId.FINAL_COPY, None, StepId.ROLL_BACK] and runner.state == "rolled back"
    assert runner.run("staging", (StepId.SNAPSHOT, "true")).returncode == 0
    assert runner.state == "staged" and runner.journal.attempt == 2 and runner.journal.aside


def test_each_step_of_a_version_without_ids_has_an_id() -> None:
    of_versions = {StepId.STAGE_SOURCE, StepId.STAGE_BUILD, StepId.STAGE_IMAGE, StepId.BOOT_ROLLBACK, StepId.DRAIN}
    of_versions |= {StepId.SWITCH_SOURCE, StepId.RESTORE_DATABASE, StepId.SWITCH_IMAGE, StepId.REMOVE_STAGE}
    of_versions |= {StepId.STAGE_SKILLS}
    assert set(STEP_TEXTS_BEFORE_IDS.values()) == set(StepId) - of_versions


def test_step_of_a_newer_version_has_no_id() -> None:
    step = {"id": "warp", "name": "stop v1", "output": ""}
    assert migration_journal.upgraded({"steps": [step]})["steps"] == [{**step, "id": None}]


def test_undecided_switch_is_ended_by_its_own_work_before_the_next_begins(runner: Runner) -> None:
    """The next one takes for the old version what an interrupted switch has checked out."""
    runner.prepare("switching", (StepId.STOP_V1, "true"), back=f"echo own >> {runner.folder}/backs")
    own = (runner.folder / "work.json").read_text()
    migration_journal.JournalFile(str(runner.folder), HEAD).update(state="switching")
    argv = runner.prepare("staging", (StepId.SNAPSHOT, "true"), back=f"echo next >> {runner.folder}/backs")
    (runner.folder / "work.json").rename(runner.folder / "next-work.json")
    (runner.folder / "work.json").write_text(own)
    subprocess.run(runner.argv(back=True), timeout=60, check=True)
    assert runner.state == "rolled back" and (runner.folder / "work.json").read_text() == own
    migration_journal.JournalFile(str(runner.folder), HEAD).update(state="switching")
    subprocess.run(argv, timeout=60, check=True)
    assert runner.state == "staged" and (runner.folder / "backs").read_text() == "own\nown\n"
    assert not (runner.folder / "next-work.json").exists()


def test_undecided_switch_of_a_role_that_is_not_understood_is_ended_by_the_next_work(runner: Runner) -> None:
    migration_journal.JournalFile(str(runner.folder), HEAD).update(state="switching")
    argv = runner.prepare("staging", (StepId.SNAPSHOT, "true"), back=f"echo next >> {runner.folder}/backs")
    (runner.folder / "work.json").rename(runner.folder / "next-work.json")
    (runner.folder / "work.json").write_text('{"part": "switching"}')
    subprocess.run(argv, timeout=60, check=True)
    assert runner.state == "staged" and (runner.folder / "backs").read_text() == "next\n"
