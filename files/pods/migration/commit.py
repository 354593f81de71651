"""Has v2 be what starts from here on: one rename decides it (files/pods/migration/unit_conditions.py).

Argument: {"marker", "trying", "ran", "text": what the marker says}.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from files.pods.common.atomic_write import replace

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    replace(asked["marker"], asked["text"].encode())
    for path in (asked["trying"], asked["ran"]):
        with suppress(FileNotFoundError):
            os.unlink(path)
    print(json.dumps({"v2": "starts from here on"}))
