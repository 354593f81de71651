"""How far the migration of a machine's NanoClaw v1 has come. Changes nothing.

Argument: {"directory": of the migration, "service": name of its transient unit, "root": v2's project root, "marker"}.
Prints tasks.model.migration.places.Progress as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from files.programs.host_user import within


def read(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return None


NEWER = {"chats": "", "aside": False}
"""What a journal has that an earlier version wrote without."""


def main(directory: str, service: str, root: str, marker: str) -> dict[str, object]:
    journal, record = (read(f"{directory}/{name}.json") for name in ("journal", "record"))
    journal, record = ({**NEWER, **one} if isinstance(one, dict) else one for one in (journal, record))
    words = ["systemctl", "show", "--property=ActiveState", "--value", service]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    return {
        "journal": journal,
        "under_way": shown not in ("inactive", "failed", ""),
        "decided": os.path.exists(marker),
        "recorded": os.path.exists(f"{directory}/record.md") and record == journal,
        "v2_has_state": os.path.lexists(f"{root}/data/v2.db"),
    }


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    within(60, arguments["root"])
    print(json.dumps(main(**arguments)))
