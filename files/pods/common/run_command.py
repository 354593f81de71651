"""Commands that read no input and print text, whatever bytes it has."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any


def run_command(
    argv: Sequence[str], *, timeout: float | None, stderr: int = subprocess.PIPE, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command; return its status and outputs. Raises OSError, and subprocess.TimeoutExpired if it is late.

    + timeout: seconds; None only in a program that ends as a whole (run_with_deadline)
    + stderr: subprocess.STDOUT for both outputs in one
    + options: more of subprocess.run, such as `input`
    """
    return subprocess.run(
        argv,
        stdin=None if "input" in options else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        **options,
    )
