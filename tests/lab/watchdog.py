"""End a lab when the process that started it is gone, however it ended.

A `finally` does not run after SIGKILL. So a second process waits at the other end of a pipe, which the kernel closes
when the first one ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.paths import PROJECT


@contextmanager
def watched(lab: str) -> Iterator[None]:
    """End the lab if this process dies inside the context."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "tests.lab.watchdog", lab]
    process = subprocess.Popen(command, stdin=reader, cwd=PROJECT, start_new_session=True)
    os.close(reader)
    try:
        yield
    finally:
        # The one word that tells an orderly end from a death.
        os.write(writer, b"done")
        os.close(writer)
        process.wait(timeout=60)


def main() -> None:
    """Wait until the other end of standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.stdin.buffer.read() != b"done":
        from tests.lab.lab import Lab

        Lab(sys.argv[1]).down()


if __name__ == "__main__":
    main()
