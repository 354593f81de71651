"""Report how far a transition of a machine has come: a migration from v1, or a change of version. Changes nothing."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from files.pods.common.protocol import print_reply, read_request
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.transition.bad_versions import read_bad_versions
from files.pods.transition.documents import BAD_VERSIONS, VERSION_CHANGE, Journal
from files.pods.transition.journal import read_journal
from files.pods.transition.protocol import Progress, ProgressRequest


def is_under_way(service: str) -> bool:
    """Return whether the transient unit runs; exit if systemd does not answer."""
    argv = ["systemctl", "show", "--property=ActiveState", "--value", service]
    done = run_command(argv, timeout=60)
    state = done.stdout.strip()
    if done.returncode != 0 or not state:
        sys.exit(f"systemd does not say whether {service} runs: {done.stderr.strip() or 'no answer'}")
    return state not in ("inactive", "failed")


def main(request: ProgressRequest) -> Progress:
    """Return the journal, and which of v1 and v2 starts."""
    decided, root, journal = os.path.exists(request.marker), request.root, None
    try:
        journal = read_journal(request.directory)
    except ValueError:
        if not decided:
            why = f"{request.directory}/journal.json cannot be read, and it has the progress of a"
            if request.directory.endswith(VERSION_CHANGE):  # the database is that of the version which serves
                sys.exit(f"{why} change of version: restore it, or move it away if {root} runs one version as a whole")
            sys.exit(f"{why} migration: restore it, or move it and {root}/data/v2.db away to start again")
    return Progress(
        journal=journal,
        under_way=is_under_way(request.service),
        decided=decided,
        recorded=journal is not None and is_recorded(request.directory, journal),
        v2_has_state=os.path.lexists(f"{root}/data/v2.db"),
        bad=read_bad_versions(f"{request.directory}/{BAD_VERSIONS}"),
    )


def is_recorded(directory: str, journal: Journal) -> bool:
    """Return whether the record has its page, and is that of the journal."""
    with suppress(ValueError):
        return os.path.exists(f"{directory}/record.md") and read_journal(directory, "record") == journal
    return False


if __name__ == "__main__":
    request = read_request(ProgressRequest)
    run_with_deadline(60, request.root)
    print_reply(main(request))
