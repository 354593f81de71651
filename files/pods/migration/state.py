"""Report how far the migration of a machine's NanoClaw v1 has come. Changes nothing.

Prints tasks.model.migration.paths.Progress as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.migration.journal import with_ids
from files.pods.migration.protocol import ProgressRequest


def read(path: str) -> Any:
    """Return the JSON object in a file: None without the file, False if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        return None
    except ValueError:
        return False
    return content if isinstance(content, dict) else False


def is_under_way(service: str) -> bool:
    """Return whether the transient unit runs; exit if systemd does not answer."""
    argv = ["systemctl", "show", "--property=ActiveState", "--value", service]
    done = run_command(argv, timeout=60)
    state = done.stdout.strip()
    if done.returncode != 0 or not state:
        sys.exit(f"systemd does not say whether {service} runs: {done.stderr.strip() or 'no answer'}")
    return state not in ("inactive", "failed")


NEWER = {"chats": "", "aside": False}
"""Keys that a journal of an earlier version lacks."""


def main(directory: str, service: str, root: str, marker: str) -> dict[str, object]:
    """Return the journal, and which of v1 and v2 starts."""
    journal, record = (read(f"{directory}/{name}.json") for name in ("journal", "record"))
    decided = os.path.exists(marker)
    if journal is False and not decided:
        why = f"{directory}/journal.json cannot be read, and it has the progress of a migration"
        sys.exit(f"{why}: restore it, or move it and {root}/data/v2.db away to start again")
    journal, record = ({**NEWER, **with_ids(one)} if one else None for one in (journal, record))
    return {
        "journal": journal,
        "under_way": is_under_way(service),
        "decided": decided,
        "recorded": journal is not None and os.path.exists(f"{directory}/record.md") and record == journal,
        "v2_has_state": os.path.lexists(f"{root}/data/v2.db"),
    }


if __name__ == "__main__":
    request = read_request(ProgressRequest)
    run_with_deadline(60, request.root)
    print(json.dumps(main(**vars(request))))
