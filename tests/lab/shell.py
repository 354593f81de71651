"""Run programs on the controller."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from tests.lab.errors import LabError
from tests.lab.requirements import SBIN

STARTED = time.monotonic()


def say(text: str) -> None:
    """Print a line of progress to standard error, which keeps standard output clean."""
    with suppress(BrokenPipeError):
        print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", file=sys.stderr, flush=True)


def environment(**extra: str) -> dict[str, str]:
    """Return the caller's environment, with the system's programs in PATH."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SBIN}", "LC_ALL": "C.UTF-8", **extra}


def call(argv: Sequence[str], *, stdin: str | None = None, timeout: float = 60, check: bool = True) -> str:
    """Run a program and return its output; an error shows its last lines."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=environment(), check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout:.0f} s") from error
    if check and done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise LabError(f"`{' '.join(argv)}` ended with {done.returncode}:\n{tail}")
    return done.stdout
