"""The run lock waits for the work of a run that was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from files.pods.common.protocol import Request
from files.pods.source.protocol import BuildImageRequest, BuildRequest, FetchRequest, SwitchRequest
from tests.programs import replaced, request_argv
from tests.unit.source.source_host import Host

HOLD = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from files.pods.common.run_lock import acquire
acquire(sys.argv[1])
print('mine', flush=True)
"""
WORK = HOLD + "os.execvp('sleep', ['sleep', sys.argv[2]])\n"


def start(text: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-I", "-c", text, *args], stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.usefixtures("no_umask")
def test_acquire_waits_for_a_child_that_outlived_its_run_and_reports_it(tmp_path: Path) -> None:
    lock, begun = str(tmp_path / "made" / "lock"), time.monotonic()
    with start(WORK, lock, "2") as work:
        assert first_line(work) == "mine"
        with start(HOLD, lock) as following:
            assert first_line(following) == f"waiting up to 300 s for another run's work: {work.pid} (sleep 2)"
            assert first_line(following) == "mine"
    assert time.monotonic() - begun >= 2
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700, "nobody else can hold up a run"


@pytest.mark.parametrize("kind", [FetchRequest, SwitchRequest, BuildRequest, BuildImageRequest])
def test_program_names_the_lock_holder_when_its_time_is_up(tmp_path: Path, kind: type[Request]) -> None:
    lock = str(tmp_path / "lock")
    request = Host(tmp_path, tmp_path).request(kind, lock=lock, ref="main", source={})
    argv = request_argv(request, replaced("WAIT_SECONDS = 300", "WAIT_SECONDS = 0"))
    with start(WORK, lock, "60") as work:
        assert first_line(work) == "mine"
        done = subprocess.run(argv, capture_output=True, text=True)
        work.kill()
    assert done.returncode == 1
    assert f"process {work.pid} (sleep 60) has {lock}" in done.stderr


def test_lock_holder_is_named_by_its_entry(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    with start(f"import sys; del sys.argv[1]\n{HOLD}time.sleep(60)", "source.build", lock) as work:
        assert first_line(work) == "mine"
        with start(HOLD, lock) as following:
            assert f"{work.pid} (source.build)" in first_line(following)
            work.kill()
    assert Path(lock).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("entry", ["nfs.mounts", "v1.audit.main"])
def test_holder_that_was_started_from_a_file_is_named_by_its_entry(tmp_path: Path, entry: str) -> None:
    """A service of ours, such as the guard, runs its archive; other programs have their command line as a name."""
    lock, program = str(tmp_path / "lock"), tmp_path / "program.pyz"
    program.write_text(f"import sys\ndel sys.argv[1]\n{HOLD}time.sleep(60)\n")
    argv = [sys.executable, "-I", str(program), entry, lock]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as work:
        assert first_line(work) == "mine"
        with start(HOLD, lock) as following:
            assert f"{work.pid} ({entry})" in first_line(following)
            work.kill()


def test_long_command_line_of_a_holder_is_cut(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    with start(f"import sys; del sys.argv[1]\n{HOLD}time.sleep(60)", "x" * 100, lock) as work:
        assert first_line(work) == "mine"
        with start(HOLD, lock) as following:
            line = first_line(following)
            assert line.endswith(")") and len(line.partition(f"{work.pid} (")[2]) <= 61
            work.kill()
