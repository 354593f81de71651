"""Runs one entry of this package: `python3 -I ARCHIVE ENTRY [REQUEST]`; an entry is ROOM.NAME for ROOM/NAME.py.

The request is one JSON document. Without it in argv, the first line of standard input is {"request": …, "mark": bool};
the entry reads what follows. `mark` has the entry's output stand between two lines that shells do not print.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

BEGIN, END = "<nanoclaw-pods ", " nanoclaw-pods>"


def main(entry: str, request: str | None = None) -> None:
    """Runs the entry as `__main__`, with the request as its one argument."""
    # What children print is compared, and never in a translation; glibc before 2.39 obeys LANGUAGE in C.UTF-8 too.
    os.environ["LC_ALL"] = "C.UTF-8"
    os.environ.pop("LANGUAGE", None)
    os.umask(0o022)  # what programs create has the rights that they state, whatever umask root's session has
    mark = False
    if request is None:
        head = json.loads(sys.stdin.buffer.readline())
        request, mark = json.dumps(head["request"]), head["mark"]
    sys.argv = [entry, request]
    if mark:
        print(BEGIN, flush=True)
    runpy.run_module(f"files.pods.{entry}", run_name="__main__", alter_sys=True)
    if mark:
        print(END, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
