"""Search for hot rollback journals of SQLite (lockingv3.html, Hot Journals)."""

from __future__ import annotations

import os
import time

from files.pods.common.docker import docker_output
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.probe import timeouts
from files.pods.probe.environment import fingerprint


def hot_journals(journals: list[str], patience: float) -> list[str]:
    """Return journals that nobody writes: unchanged after a pause, and in no running container's mounts.

    NanoClaw kills leftover agents when it starts, and rolls back their journals when it next opens the database. So the
    check repeats for `patience` seconds.
    """
    end = time.monotonic() + patience
    while journals:
        before = run_as(ROOT, timeouts.STEP, lambda: [fingerprint(path) for path in journals]).get("value", [])  # noqa: B023
        time.sleep(timeouts.JOURNAL_PAUSE)
        after = run_as(ROOT, timeouts.STEP, lambda: [fingerprint(path) for path in journals]).get("value", [])  # noqa: B023
        mounted = mounted_in_containers()
        journals = [
            path
            for path, first, second in zip(journals, before, after)  # noqa: B905  strict= is newer than Python 3.9
            if first == second is not None and os.path.dirname(path) not in mounted
        ]
        if time.monotonic() >= end:
            break
    return journals


def mounted_in_containers() -> list[str]:
    """Return the host paths mounted in running containers."""
    ids = docker_output(["ps", "-q"], timeouts.STEP)[1].split()
    shape = "{{range .Mounts}}{{println .Source}}{{end}}"
    return docker_output(["inspect", "--format", shape, *ids], timeouts.STEP)[1].splitlines() if ids else []
