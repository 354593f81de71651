"""The progress of a migration and its commit: an unknown state is an error."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition.documents import Head, Journal, JournalStep
from files.pods.transition.protocol import CommitRequest, Progress, ProgressRequest
from files.pods.transition.state import main
from files.pods.transition.step_ids import StepId
from tasks.facts import fact_of
from tests.programs import request_argv

HEAD = Head("h", "/v1", "/v2", "v1.service", "ab", {})
JOURNAL = Journal(**vars(HEAD), attempt=1, state="finished", steps=[], stopped=None, serving=None, aside=False)


class Machine:
    """A migration's directory, and a systemctl with the output that a test needs."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.root, self.marker = base / "migration", base / "v2", base / "etc/u.migrated"
        self.bin = base / "bin"
        for folder in (self.directory, self.root / "data", self.marker.parent, self.bin):
            folder.mkdir(parents=True)
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        self.systemctl("echo inactive")

    def systemctl(self, script: str) -> None:
        (self.bin / "systemctl").write_text(f'#!/bin/sh\necho "$*" > {self.bin}/asked\n{script}\n')
        (self.bin / "systemctl").chmod(0o755)

    def write(self, name: str, content: Any) -> None:
        document = asdict(content) if isinstance(content, Journal) else content
        (self.directory / name).write_text(content if isinstance(content, str) else json.dumps(document))

    def request(self) -> ProgressRequest:
        return ProgressRequest(str(self.directory), "x.service", str(self.root), str(self.marker))

    def look(self) -> Progress:
        return main(self.request())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


NOTHING = Progress(None, under_way=False, decided=False, recorded=False, v2_has_state=False)


def test_machine_without_a_migration(machine: Machine) -> None:
    assert machine.look() == NOTHING
    assert (machine.bin / "asked").read_text() == "show --property=ActiveState --value x.service\n"
    machine.directory.rmdir()
    assert machine.look() == NOTHING


@pytest.mark.parametrize(
    ("state", "under_way"),
    [("inactive", False), ("failed", False), ("active", True), ("activating", True), ("deactivating", True)],
)
def test_unit_that_has_not_ended_is_under_way(machine: Machine, state: str, under_way: bool) -> None:
    machine.systemctl(f"echo {state}")
    assert machine.look() == replace(NOTHING, under_way=under_way)


@pytest.mark.parametrize("script", ["exit 1", "true", "echo inactive; exit 1"])
def test_silent_systemd_is_an_error(machine: Machine, script: str) -> None:
    machine.systemctl(script)
    with pytest.raises(SystemExit, match=r"systemd does not say whether x\.service runs"):
        machine.look()


def test_marker_decides_and_a_database_is_state_of_v2(machine: Machine) -> None:
    machine.marker.touch()
    assert machine.look() == replace(NOTHING, decided=True)
    (machine.root / "data/v2.db").symlink_to("nowhere")
    assert machine.look() == replace(NOTHING, decided=True, v2_has_state=True)


def test_record_counts_only_with_its_page_and_the_same_journal(machine: Machine) -> None:
    machine.write("journal.json", JOURNAL)
    assert machine.look() == replace(NOTHING, journal=JOURNAL)
    machine.write("record.json", JOURNAL)
    assert machine.look().recorded is False
    machine.write("record.md", "")
    assert machine.look().recorded is True
    machine.write("record.json", replace(JOURNAL, attempt=2))
    assert machine.look().recorded is False
    machine.write("record.json", "[]")
    assert machine.look().recorded is False


def test_journal_of_an_earlier_version_is_completed(machine: Machine) -> None:
    step = {"name": "account for all that v1 had", "state": "done", "started": 1.0, "ended": 2.0, "said": "{}"}
    old = {key: value for key, value in asdict(JOURNAL).items() if key not in ("chats", "aside")}
    old["steps"] = [step]
    machine.write("journal.json", old)
    machine.write("record.json", old)
    machine.write("record.md", "")
    completed = JournalStep("account for all that v1 had", "done", 1.0, 2.0, "{}", StepId.AUDIT)
    journal = replace(JOURNAL, chats="", steps=[completed])
    assert machine.look() == replace(NOTHING, journal=journal, recorded=True)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\udcff"])
def test_unreadable_journal_is_an_error(machine: Machine, text: str) -> None:
    """Otherwise an unfinished migration would start again."""
    (machine.directory / "journal.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SystemExit, match=r"journal\.json cannot be read, .*: restore it, or move it"):
        machine.look()


def test_committed_v2_needs_no_journal(machine: Machine) -> None:
    machine.marker.touch()
    machine.write("journal.json", "{")
    machine.write("record.md", "")
    assert machine.look() == replace(NOTHING, decided=True)


def test_unreadable_record_is_written_again(machine: Machine) -> None:
    machine.write("journal.json", JOURNAL)
    machine.write("record.md", "")
    machine.write("record.json", "{")
    assert machine.look().recorded is False


def test_program_prints_the_reply_of_its_fact(machine: Machine) -> None:
    done = subprocess.run(request_argv(machine.request()), capture_output=True, text=True, timeout=60, check=True)
    progress = fact_of(Progress)().process(done.stdout.splitlines())
    assert progress == NOTHING


def finish(folder: Path) -> subprocess.CompletedProcess[str]:
    marker, trying, ran = (str(folder / name) for name in ("etc/u.migrated", "trying", "ran"))
    request = CommitRequest(marker, trying, ran, "v2 has taken over\n")
    return subprocess.run(request_argv(request), capture_output=True, text=True, timeout=60, check=False)


def test_commit_creates_the_marker_and_removes_the_files_of_the_attempt(tmp_path: Path) -> None:
    for name in ("trying", "ran"):
        (tmp_path / name).touch()
    done = finish(tmp_path)
    marker = tmp_path / "etc/u.migrated"
    assert (done.returncode, json.loads(done.stdout)) == (0, {"committed": str(marker)}), done.stderr
    assert marker.read_text() == "v2 has taken over\n" and marker.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc"]
    assert finish(tmp_path).returncode == 0  # repeats safely


def test_failed_commit_keeps_the_files_of_the_attempt(tmp_path: Path) -> None:
    """v1 may start again then: v2 was not committed."""
    for name in ("trying", "ran"):
        (tmp_path / name).touch()
    (tmp_path / "etc").touch()  # no directory
    done = finish(tmp_path)
    assert done.returncode != 0 and done.stdout == ""
    assert (tmp_path / "trying").exists() and (tmp_path / "ran").exists()
