"""Output of a command that others have a say in: its end, its size, and nothing else of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from files.pods.common.bounded_output import bounded_output
from tests.processes import is_gone

PROJECT = Path(__file__).parents[3]


def shell(script: str, seconds: float = 20, max_bytes: int = 1000) -> tuple[int, bytes]:
    return bounded_output(["sh", "-c", script], seconds, max_bytes)


def test_command_reads_nothing_and_its_errors_are_not_shown() -> None:
    code = "from files.pods.common.bounded_output import bounded_output as run\n"
    code += "print(run(['sh', '-c', 'cat; echo out; echo why >&2; exit 3'], 20, 100))"
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=PROJECT, input="secret", capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(3, b'out\\n')\n", "")


def test_output_up_to_its_limit_is_returned() -> None:
    assert shell("head -c 1000 /dev/zero") == (0, bytes(1000))
    with pytest.raises(OverflowError, match=r"^more than 1000 bytes$"):
        shell("head -c 1001 /dev/zero")


@pytest.mark.parametrize("script", ["sleep 60", "exec >&-; sleep 60", "sleep 60 & exit 0"])
def test_command_that_does_not_end_or_keeps_its_output_open_is_late(script: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        shell(script, seconds=0.5)
    assert time.monotonic() - begun < 20


def test_late_output_names_its_deadline() -> None:
    with pytest.raises(TimeoutError, match=r"^no end within 0\.5 s$"):
        shell("echo begun; sleep 60", seconds=0.5)


def test_nothing_that_the_command_has_started_is_left(tmp_path: Path) -> None:
    status, data = shell("sleep 300 >/dev/null & echo $!")
    assert status == 0 and is_gone(int(data))
    with pytest.raises(TimeoutError):
        shell(f"sleep 300 & echo $! > {tmp_path}/pid; wait", seconds=1)
    assert is_gone(int((tmp_path / "pid").read_text()))
    with pytest.raises(OverflowError):
        shell(f"sleep 300 & echo $! > {tmp_path}/pid; exec cat /dev/zero")
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_pipe_to_the_command_is_closed() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    shell("true")
    with pytest.raises(OverflowError):
        shell("cat /dev/zero")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
