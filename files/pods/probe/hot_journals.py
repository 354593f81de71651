"""Which journals of SQLite are hot: for programs that import it (lockingv3.html, Hot Journals)."""

from __future__ import annotations

import os
import time

from files.pods.common.docker import docker_output
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.probe.environment import mark

JOURNAL_TIMEOUT, PAUSE = 40, 2  # seconds


def hot(journals: list[str], patience: float) -> list[str]:
    """Those that nobody is writing: the same after a while, and no running container has the session.

    NanoClaw kills the agents that it finds when it starts, and heals what they left when it looks at them next: so
    long as there is patience (seconds), they are looked at again.
    """
    end = time.monotonic() + patience
    while journals:
        before = run_as(ROOT, JOURNAL_TIMEOUT, lambda: [mark(path) for path in journals]).get("value", [])  # noqa: B023
        time.sleep(PAUSE)
        after = run_as(ROOT, JOURNAL_TIMEOUT, lambda: [mark(path) for path in journals]).get("value", [])  # noqa: B023
        used = mounted_in_containers()
        journals = [
            path
            for path, first, second in zip(journals, before, after)  # noqa: B905  strict= is newer than Python 3.9
            if first == second is not None and os.path.dirname(path) not in used
        ]
        if time.monotonic() >= end:
            break
    return journals


def mounted_in_containers() -> list[str]:
    ids = docker_output(["ps", "-q"], JOURNAL_TIMEOUT)[1].split()
    shape = "{{range .Mounts}}{{println .Source}}{{end}}"
    return docker_output(["inspect", "--format", shape, *ids], JOURNAL_TIMEOUT)[1].splitlines() if ids else []
