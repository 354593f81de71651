"""Whether NanoClaw's own command line gets a reply: its socket may accept a connection and serve nothing.

Upstream's own check of a start is the same: `bin/ncl groups list`.
"""

from __future__ import annotations

import os
import subprocess

from files.pods.common.run_command import run_command
from files.pods.common.sanitize import escape_control

SECONDS = 40
"""For Node to start, and for the reply."""


def ncl_problem(root: str) -> str:
    """Return why the command line gets no reply; "" if it gets one, or this version has none. Runs as the host user."""
    if not os.path.lexists(f"{root}/data/ncl.sock") or not os.path.isfile(f"{root}/bin/ncl"):
        return ""
    argv = [f"{root}/bin/ncl", "groups", "list"]
    what = f"{root}/data/ncl.sock accepts connections, but {' '.join(argv)}"
    try:
        done = run_command(argv, timeout=SECONDS, cwd=root, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return f"{what} did not end within {SECONDS} s"
    except OSError as error:
        return f"{what} cannot be run ({error.strerror})"
    if done.returncode == 0:
        return ""
    output = done.stdout.strip().splitlines() or ["no output"]
    return f"{what} fails (status {done.returncode}): {escape_control(output[-1])[:300]}"
