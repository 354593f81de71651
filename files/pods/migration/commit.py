"""Commit a migration: from now on v2 starts, and v1 does not (files/pods/migration/unit_conditions.py).

Argument: {"marker", "trying", "ran", "text": content of the marker}. One rename is the commit.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from files.pods.common.atomic_write import replace

if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    replace(request["marker"], request["text"].encode())
    for path in (request["trying"], request["ran"]):
        with suppress(FileNotFoundError):
            os.unlink(path)
    print(json.dumps({"v2": "starts from here on"}))
