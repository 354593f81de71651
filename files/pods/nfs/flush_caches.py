"""Flushes the kernel's caches of files, and writes which export that was done for.

The stamp is written after, so that an interrupted run flushes again.
"""

from __future__ import annotations

import json

from files.pods.common.atomic_write import replace
from files.pods.common.drop_caches import drop_inodes
from files.pods.common.protocol import read_request
from files.pods.nfs.protocol import FlushRequest

if __name__ == "__main__":
    request = read_request(FlushRequest)
    if request.flush:
        drop_inodes(240)
    replace(request.stamp, request.content.encode())
    print(json.dumps({"flushed": request.flush}))
