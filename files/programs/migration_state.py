"""How far the migration of a machine's NanoClaw v1 has come. Changes nothing.

Argument: {"directory": of the migration, "service": name of its transient unit, "root": v2's project root, "marker"}.
Prints tasks.model.migration.journal.Progress as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


def main(directory: str, service: str, root: str, marker: str) -> dict[str, object]:
    try:
        with open(f"{directory}/journal.json", encoding="utf-8") as file:
            journal = json.load(file)
    except FileNotFoundError:
        journal = None
    words = ["systemctl", "show", "--property=ActiveState", "--value", service]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    return {
        "journal": journal,
        "under_way": shown not in ("inactive", "failed", ""),
        "decided": os.path.exists(marker),
        "v2_has_state": os.path.lexists(f"{root}/data/v2.db"),
    }


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
