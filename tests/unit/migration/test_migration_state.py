"""The progress of a migration and its commit: an unknown state is an error."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from files.pods.migration.state import NEWER, main
from tasks.facts import fact_of
from tasks.model.migration.paths import Progress
from tests.programs import entry_argv

JOURNAL = {"state": "finished", "steps": [], "attempt": 1, "chats": "ab", "aside": False}


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
        (self.directory / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def look(self) -> dict[str, Any]:
        return main(str(self.directory), "x.service", str(self.root), str(self.marker))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


NOTHING = {"journal": None, "under_way": False, "decided": False, "recorded": False, "v2_has_state": False}


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
    assert machine.look() == {**NOTHING, "under_way": under_way}


@pytest.mark.parametrize("script", ["exit 1", "true", "echo inactive; exit 1"])
def test_silent_systemd_is_an_error(machine: Machine, script: str) -> None:
    machine.systemctl(script)
    with pytest.raises(SystemExit, match=r"systemd does not say whether x\.service runs"):
        machine.look()


def test_marker_decides_and_a_database_is_state_of_v2(machine: Machine) -> None:
    machine.marker.touch()
    assert machine.look() == {**NOTHING, "decided": True}
    (machine.root / "data/v2.db").symlink_to("nowhere")
    assert machine.look() == {**NOTHING, "decided": True, "v2_has_state": True}


def test_record_counts_only_with_its_page_and_the_same_journal(machine: Machine) -> None:
    machine.write("journal.json", JOURNAL)
    assert machine.look() == {**NOTHING, "journal": JOURNAL}
    machine.write("record.json", JOURNAL)
    assert machine.look()["recorded"] is False
    machine.write("record.md", "")
    assert machine.look()["recorded"] is True
    machine.write("record.json", {**JOURNAL, "attempt": 2})
    assert machine.look()["recorded"] is False
    machine.write("record.json", "[]")
    assert machine.look()["recorded"] is False


def test_journal_of_an_earlier_version_is_completed(machine: Machine) -> None:
    step = {"name": "account for all that v1 had", "state": "done", "started": 1.0, "ended": 2.0, "said": ""}
    old = {**{key: value for key, value in JOURNAL.items() if key not in NEWER}, "steps": [step]}
    machine.write("journal.json", old)
    machine.write("record.json", old)
    machine.write("record.md", "")
    assert machine.look() == {
        **NOTHING,
        "journal": {**old, **NEWER, "steps": [{**step, "id": "audit"}]},
        "recorded": True,
    }


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
    assert machine.look() == {**NOTHING, "decided": True}


def test_unreadable_record_is_written_again(machine: Machine) -> None:
    machine.write("journal.json", JOURNAL)
    machine.write("record.md", "")
    machine.write("record.json", "{")
    assert machine.look()["recorded"] is False


def test_program_prints_the_reply_of_its_fact(machine: Machine) -> None:
    request = {
        "directory": str(machine.directory),
        "service": "x",
        "root": str(machine.root),
        "marker": str(machine.marker),
    }
    argv = [*entry_argv("migration.state"), json.dumps(request)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    progress = fact_of(Progress)().process(done.stdout.splitlines())
    assert isinstance(progress, Progress) and asdict(progress) == NOTHING


def finish(folder: Path) -> subprocess.CompletedProcess[str]:
    names = {name: str(folder / name) for name in ("trying", "ran")}
    request = {**names, "marker": str(folder / "etc/u.migrated"), "text": "v2 has taken over\n"}
    argv = [*entry_argv("migration.commit"), json.dumps(request)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_commit_creates_the_marker_and_removes_the_files_of_the_attempt(tmp_path: Path) -> None:
    for name in ("trying", "ran"):
        (tmp_path / name).touch()
    done = finish(tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"v2": "starts from here on"}), done.stderr
    marker = tmp_path / "etc/u.migrated"
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
