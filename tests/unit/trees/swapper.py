"""An attacker that exchanges a directory for a link, as fast as it can."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_SWAPPER = """
import ctypes, os, sys
place, elsewhere, name = sys.argv[1:]
libc = ctypes.CDLL(None)
os.chdir(place)
if elsewhere:
    os.symlink(elsewhere, "away")
print("at it", flush=True)
while os.getppid() == int(os.environ["PARENT"]):
    libc.renameat2(-100, name.encode(), -100, b"away", 2)
"""


@contextlib.contextmanager
def swapping(place: Path, elsewhere: Path | None, name: str = "notes") -> Iterator[None]:
    """An entry of a place is exchanged for `away`, again and again, which is a link to elsewhere, if that is given."""
    argv = [sys.executable, "-c", _SWAPPER, str(place), str(elsewhere or ""), name]
    environment = {**os.environ, "PARENT": str(os.getpid())}
    attacker = subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment)
    try:
        assert attacker.stdout and attacker.stdout.readline() == b"at it\n"
        yield
    finally:
        attacker.kill()
        attacker.communicate()
