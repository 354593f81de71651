"""The program that starts a part of a migration: it reports the result and the way out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition import start as start_program
from files.pods.transition.documents import Head, Journal, JournalStep, PlannedStep, State, Work
from files.pods.transition.protocol import StartPayload, StartRequest
from files.pods.transition.start import failure
from files.pods.transition.step_ids import StepId
from tasks.bundle import archive
from tasks.model.host.step import Part
from tests.programs import request_argv

BAD = "/var/lib/nanoclaw-pods/n.transition/bad-versions.json"
SYSTEMD_RUN = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""

RUNNER = """
import json, sys, time
directory = json.loads(sys.argv[1])["directory"]
with open(directory + "/work.json") as file:
    head = json.load(file)["head"]
step = {"name": "one", "state": "done", "started": time.time(), "ended": time.time() + 1, "output": ""}
with open(directory + "/journal.json", "w") as file:
    times = {"stopped": None, "serving": None}
    json.dump({**head, **times, "attempt": 1, "state": head["host"], "steps": [step]}, file)
"""


@pytest.fixture
def bin(tmp_path: Path) -> Path:
    """Stand-ins for systemd: nothing is under way, and a transient unit is a process."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in {"systemd-run": SYSTEMD_RUN, "systemctl": "#!/bin/sh\necho ${STATE:-inactive}\n"}.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    return place


def archive_of(text: str) -> bytes:
    """An archive with this text as its migration.runner."""
    return archive({"files/pods/transition/runner.py": text})


def journal(state: State, *steps: JournalStep) -> Journal:
    return Journal("h", "/v1", "/v2", "v1.service", "", {}, 1, state, list(steps), None, None, aside=False)


def changed(state: State, *steps: JournalStep) -> Journal:
    """The journal of a change of version."""
    return replace(journal(state, *steps), v1="", versions={"old": "2.0.64", "new": "2.1.17"})


def start(folder: Path, bin: Path, part: Part, end: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Start a part of a migration; the runner's journal has the state `end`."""
    argv = request_argv(StartRequest(str(folder), "x.service", 30))
    path = f"{bin}:{os.environ['PATH']}"
    archive = base64.b64encode(archive_of(RUNNER)).decode()
    head, back = Head(end, "/v1", "/v2", "v1.service", "", {}), PlannedStep([], "", StepId.ROLL_BACK, "", 9)
    work = Work(part, head, [], back, "/etc/marker", "/run/x.trying")
    fed = json.dumps(asdict(StartPayload(archive, f"{folder}/programs-1.pyz", work)))
    return subprocess.run(
        argv,
        input=fed,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path, **more},
        check=False,
    )


@pytest.mark.usefixtures("no_umask")
def test_start_follows_the_steps_and_replies_with_the_journal(tmp_path: Path, bin: Path) -> None:
    folder = tmp_path / "state"
    done = start(folder, bin, "staging", "staged")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("one: done (1.0 s)")
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "staged"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {name: (folder / name).stat().st_mode & 0o777 for name in ("work.json", "programs-1.pyz")} == {
        "work.json": 0o600,
        "programs-1.pyz": 0o600,
    }
    assert sorted(path.name for path in folder.iterdir()) == ["journal.json", "programs-1.pyz", "work.json"]


def test_programs_of_an_earlier_role_are_removed(tmp_path: Path, bin: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    for name in ("run.py", "programs-0.pyz", "record.json"):
        (folder / name).touch()
    start(folder, bin, "staging", "staged")
    assert sorted(path.name for path in folder.glob("*.p*")) == ["programs-1.pyz"]
    assert (folder / "record.json").exists()


def test_programs_that_the_unit_of_a_boot_runs_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staging wrote the unit, and the switch has other programs."""
    monkeypatch.setattr(start_program, "UNITS", str(tmp_path))
    folder = tmp_path / "state"
    folder.mkdir()
    (tmp_path / "nanoclaw-pods-rollback-1.service").write_text(f"ExecStart=python3 -I {folder}/programs-0.pyz x\n")
    for name in ("programs-0.pyz", "programs-00.pyz"):
        (folder / name).touch()
    start_program.keep_archive(str(folder), f"{folder}/programs-1.pyz", b"")
    assert sorted(path.name for path in folder.iterdir()) == ["programs-0.pyz", "programs-1.pyz"]


def test_work_and_programs_of_an_undecided_switch_stay(tmp_path: Path) -> None:
    head, back = Head("h", "", "/v2", "n.service", "", {}), PlannedStep([], "", StepId.ROLL_BACK, "", 9)
    old = Work("switching", head, [], replace(back, argv=["python3", f"{tmp_path}/programs-0.pyz"]), "/m", "/t")
    new = Work("staging", head, [], back, "/m", "/t")
    start_program.write_work(str(tmp_path), old)
    cases: list[tuple[State, list[str], dict[str, Work]]] = [
        ("switching", ["programs-0.pyz", "programs-1.pyz"], {"work.json": old, "next-work.json": new}),
        ("rolled back", ["programs-1.pyz"], {"work.json": new}),
    ]
    for state, left, there in cases:
        (tmp_path / "programs-0.pyz").touch()
        (tmp_path / "journal.json").write_text(json.dumps(asdict(journal(state))))
        start_program.keep_archive(str(tmp_path), f"{tmp_path}/programs-1.pyz", b"")
        start_program.write_work(str(tmp_path), new)
        assert sorted(path.name for path in tmp_path.glob("*.pyz")) == left
        assert {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*work.json")} == {
            name: json.loads(json.dumps(asdict(work))) for name, work in there.items()
        }


def test_systemd_allows_every_try_of_a_rollback(tmp_path: Path, bin: Path) -> None:
    (bin / "systemd-run").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit 1\n')
    start(tmp_path / "state", bin, "staging", "staged")
    assert "--property=TimeoutStopSec=78 " in (tmp_path / "asked").read_text()


def test_part_that_was_rolled_back_fails(tmp_path: Path, bin: Path) -> None:
    done = start(tmp_path / "state", bin, "switching", "rolled back")
    assert done.returncode != 0 and "Rolled back: v1 is as it was" in done.stderr


def test_earlier_staging_does_not_count_if_nothing_starts(tmp_path: Path, bin: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "journal.json").write_text(json.dumps(asdict(journal("staged"))))
    (bin / "systemd-run").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    done = start(folder, bin, "staging", "staged")
    assert done.returncode != 0 and "the migration did not start: no bus" in done.stderr


def test_failed_switch_reports_a_stopped_v1_and_a_way_out(tmp_path: Path, bin: Path) -> None:
    done = start(tmp_path / "state", bin, "switching", "switching")
    assert done.returncode != 0 and "v1 was not changed" not in done.stderr
    assert "v1 may be stopped" in done.stderr and "remove /run/x.trying and start v1's service" in done.stderr


def test_second_run_at_the_same_time_is_refused(tmp_path: Path, bin: Path) -> None:
    folder = tmp_path / "state"
    done = start(folder, bin, "staging", "staged", STATE="active")
    assert done.returncode != 0 and "a migration is under way on this machine" in done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("part", "state"), [("staging", "new"), ("staging", "staging"), ("switching", "staged")])
def test_failure_before_the_switch_reports_that_v1_did_not_change(
    tmp_path: Path, bin: Path, part: Part, state: str
) -> None:
    done = start(tmp_path / "state", bin, part, state)
    assert done.returncode == 1 and "v1 was not changed" in done.stderr


@pytest.mark.parametrize("state", ["failed", "running"])
def test_failure_names_the_step_with_its_output(state: Any) -> None:
    copied = JournalStep("copy", "done", 1, 2, "x", StepId.COPY)
    ended = JournalStep("snapshot v1", state, 2, 3, "", StepId.SNAPSHOT)
    text = failure(journal("staging", copied, ended), "/run/x.trying", BAD)
    assert text == "snapshot v1: it was killed\nv1 was not changed."
    text = failure(journal("rolled back", copied, replace(ended, output="no space")), "/run/x.trying", BAD)
    assert text.startswith("snapshot v1: no space\nRolled back: v1 is")


def test_journal_without_a_failed_step_means_no_start() -> None:
    assert failure(journal("new"), "/x", BAD) == "it did not start\nv1 was not changed."


def test_failed_rollback_is_reported_with_its_cause() -> None:
    stop = JournalStep("stop v1", "failed", 1, 2, "busy", StepId.STOP_V1)
    back = JournalStep("roll back to v1", "failed", 2, 3, "no unit", StepId.ROLL_BACK)
    text = failure(journal("switching", stop, back), "/x.trying", BAD)
    assert "stop v1: busy" in text and "the rollback failed (no unit)" in text and "remove /x.trying" in text


@pytest.mark.parametrize(
    ("failures", "goes_on"),
    [
        (2, "The next run starts again."),
        (
            3,
            "It has failed 3 times here: the next run leaves this machine alone until you set another nanoclaw_ref, or "
            f"remove {BAD}.",
        ),
    ],
)
def test_rollback_says_what_the_next_run_does(failures: int, goes_on: str) -> None:
    gate = JournalStep("run the gate", "failed", 1, 2, "no answer", StepId.GATE)
    back = JournalStep("roll back", "done", 2, 3, json.dumps({"notes": [], "failures": failures}), StepId.ROLL_BACK)
    text = failure(changed("rolled back", gate, back), "/x.trying", BAD)
    assert text == f"run the gate: no answer\nRolled back: NanoClaw 2.0.64 is as it was. {goes_on}"


def test_incomplete_rollback_of_a_version_says_what_is_missing() -> None:
    gate = JournalStep("run the gate", "failed", 1, 2, "no answer", StepId.GATE)
    back = JournalStep("roll back", "failed", 2, 3, "the database was not put back: full", StepId.ROLL_BACK)
    text = failure(changed("switching", gate, back), "/x.trying", BAD)
    assert "The rollback to NanoClaw 2.0.64 is not complete: the database was not put back: full. It was" in text
    assert "v1" not in text
