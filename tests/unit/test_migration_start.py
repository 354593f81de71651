"""What starts a part of a migration: a switch that came to no end is put back as that attempt had been told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.command import program_argv

SYSTEMD_RUN = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""

RUNNER = """
import json, sys, time
with open(sys.argv[1] + "/work.json") as file:
    goal = json.load(file)["goal"]
step = {"name": "one", "state": "done", "started": time.time(), "ended": time.time() + 1, "said": ""}
with open(sys.argv[1] + "/journal.json", "w") as file:
    json.dump({"state": goal, "steps": [step]}, file)
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


def start(folder: Path, bin: Path, work: dict[str, Any], **more: str) -> subprocess.CompletedProcess[str]:
    asked = {"directory": str(folder), "service": "x.service", "seconds": 30}
    _python, *words = program_argv("migration_start", asked)
    path = f"{bin}:{os.environ['PATH']}"
    fed = json.dumps({"program": RUNNER, "work": work})
    return subprocess.run(
        [sys.executable, *words],
        input=fed,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": path, **more},
        check=False,
    )


def test_it_follows_the_steps_and_answers_with_the_journal(tmp_path: Path, bin: Path) -> None:
    folder = tmp_path / "state"
    done = start(folder, bin, {"part": "staging", "goal": "staged", "back": ["now"]})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("one: done (1.0 s)")
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "staged"
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "work.json").stat().st_mode & 0o777 == 0o600


def test_a_part_that_did_not_come_to_its_end_fails(tmp_path: Path, bin: Path) -> None:
    done = start(tmp_path / "state", bin, {"part": "switching", "goal": "rolled back", "back": ["now"]})
    assert done.returncode != 0 and "v1 is back as it was" in done.stderr


@pytest.mark.parametrize(("state", "back"), [("switching", ["then"]), ("rolled back", ["now"]), ("finished", ["now"])])
def test_how_v1_ran_is_known_from_before_a_switch_without_an_end(
    tmp_path: Path, bin: Path, state: str, back: list[str]
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "journal.json").write_text(json.dumps({"state": state, "steps": []}))
    (folder / "work.json").write_text(json.dumps({"back": ["then"]}))
    start(folder, bin, {"part": "staging", "goal": "staged", "back": ["now"]})
    assert json.loads((folder / "work.json").read_text())["back"] == back


def test_a_second_run_meanwhile_is_refused_and_changes_nothing(tmp_path: Path, bin: Path) -> None:
    folder = tmp_path / "state"
    done = start(folder, bin, {"part": "staging", "goal": "staged", "back": ["now"]}, STATE="active")
    assert done.returncode != 0 and "a migration is under way on this machine" in done.stderr
    assert list(folder.iterdir()) == []
