"""Commit to the new version: from now on nothing is rolled back.

After a migration v2 starts then, and v1 does not (files/pods/transition/unit_conditions.py). One rename is the commit.
Reply: {"committed": the marker}.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.transition.protocol import CommitRequest

if __name__ == "__main__":
    request = read_request(CommitRequest)
    replace(request.marker, request.text.encode())
    for path in (request.trying, request.ran):
        with suppress(FileNotFoundError):
            os.unlink(path)
    print(json.dumps({"committed": request.marker}))
