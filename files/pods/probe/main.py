"""Acts as the host and as the agent in a scratch session, as NanoClaw does, and reports how each step went.

The scratch is always removed; the next probe removes what a killed one left. Every step has a timeout
(probe/timeouts.py). Only the scratch is written. A refusal on NFS counts only if it repeats after the kernel's cached
permissions were dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
import sys
import time

from files.pods.common.protocol import print_reply, read_request
from files.pods.probe import timeouts
from files.pods.probe.environment import drop_permissions, id_mapping
from files.pods.probe.protocol import Observations, ProbeRequest
from files.pods.probe.steps import Probe


def run_probe(request: ProbeRequest) -> Probe:
    """Run one probe, and remove its scratch."""
    probe = Probe(request)
    try:
        probe.run_steps()
        if probe.anchors and not probe.is_silent():
            probe.survey_existing_sessions()
    finally:
        if probe.report.space:
            probe.remove_scratch()
    return probe


def main() -> None:
    """Run a probe under a lock; repeat it once if NFS may have answered from a cache."""
    request = read_request(ProbeRequest)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    with open("/run/nanoclaw-pods-probe.lock", "w", encoding="ascii") as lock:
        for _ in range(2 * timeouts.LOCK):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(0.5)
        else:
            sys.exit("another run is probing this machine; run again when it has ended")
        start = time.monotonic()
        probe = run_probe(request)
        flushed = probe.was_refused() and drop_permissions()
        if flushed:
            probe = run_probe(request)
    report: Observations = probe.report
    report.seconds, report.id_mapping, report.flushed = round(time.monotonic() - start, 1), id_mapping(), flushed
    print_reply(report)


if __name__ == "__main__":
    main()
