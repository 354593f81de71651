"""Output of a command that somebody else has a say in: bounded in size and in time."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any


def bounded_output(argv: Sequence[str], seconds: float, max_bytes: int, **options: Any) -> tuple[int, bytes]:
    """Return exit status and output of a command; end all that it started. Raises TimeoutError, OverflowError.

    + options: more of subprocess.Popen
    """
    end, data = time.monotonic() + seconds, b""
    child: Any = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )
    try:
        while select.select([child.stdout], [], [], max(0, end - time.monotonic()))[0]:
            chunk = os.read(child.stdout.fileno(), 1 << 16)
            data += chunk
            if len(data) > max_bytes:
                raise OverflowError(f"more than {max_bytes} bytes")
            if not chunk:
                return child.wait(max(0.1, end - time.monotonic())), data
        raise TimeoutError(f"no end within {seconds} s")
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(str(error)) from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
