"""What waits for the work of a run that was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.programs import program_argv, replaced

HOLD = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from files.pods.common.run_lock import alone
alone(sys.argv[1])
print('mine', flush=True)
"""
WORK = HOLD + "os.execvp('sleep', ['sleep', sys.argv[2]])\n"


def start(text: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-I", "-c", text, *words], stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_next_one_waits_for_what_goes_on_without_its_program_and_says_so(tmp_path: Path) -> None:
    lock, begun = str(tmp_path / "made" / "lock"), time.monotonic()
    with start(WORK, lock, "2") as work:
        assert first_line(work) == "mine"
        with start(HOLD, lock) as following:
            assert first_line(following) == f"waiting up to 300 s for another run's work: {work.pid} (sleep 2)"
            assert first_line(following) == "mine"
    assert time.monotonic() - begun >= 2


@pytest.mark.parametrize("program", ["source.fetch", "source.switch_commit", "source.build", "source.build_image"])
def test_a_program_fails_with_who_is_at_work(tmp_path: Path, program: str) -> None:
    lock = str(tmp_path / "lock")
    told = {"root": str(tmp_path), "uid": 0, "gid": 0, "mounts": [], "source": {}, "lock": lock}
    words = program_argv(program, told, replaced("WAIT = 300", "WAIT = 0"))
    with start(WORK, lock, "60") as work:
        assert first_line(work) == "mine"
        done = subprocess.run(words, capture_output=True, text=True)
        work.kill()
    assert done.returncode == 1
    assert f"process {work.pid} (sleep 60) has {lock}" in done.stderr


def test_a_program_of_the_role_is_shown_by_its_name(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    with start(f"import sys; del sys.argv[1]\n{HOLD}time.sleep(60)", "source.build", lock) as work:
        assert first_line(work) == "mine"
        with start(HOLD, lock) as following:
            assert f"{work.pid} (source.build)" in first_line(following)
            work.kill()
    assert Path(lock).stat().st_mode & 0o777 == 0o600
