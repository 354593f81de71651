"""Replies to many requests of the role in one round trip: each program runs in a process of its own.

Standard input: a JSON list of what each program reads from its own. A program that fails says why on standard error
only; whoever needs its reply asks it alone.
"""

from __future__ import annotations

import io
import json
import os
import runpy
import sys
from typing import Any

from files.pods.common.protocol import print_reply, read_request
from files.pods.machine.protocol import BatchReply, BatchRequest, EntryRequest


def reply(entry: str, request: Any, payload: str) -> str | None:
    """Return the output of a program, or None if it fails."""
    out = os.memfd_create("reply")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(out, 1)
            sys.argv, sys.stdin = [entry, json.dumps(request)], io.TextIOWrapper(io.BytesIO(payload.encode()))
            runpy.run_module(f"files.pods.{entry}", run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as error:
            status = 0 if error.code in (None, 0) else 1
            print(f"{entry}: {error.code}", file=sys.stderr)
        except BaseException as error:  # whatever it is, the others reply
            print(f"{entry}: {error!r}", file=sys.stderr)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    with open(out, encoding="utf-8", errors="surrogateescape") as file:
        file.seek(0)
        text = file.read()
    return text if status == 0 else None


def main(requests: list[EntryRequest], payloads: list[str]) -> BatchReply:
    """Return the replies, in the order of the requests."""
    sys.stdout.flush()
    pairs = zip(requests, payloads)  # noqa: B905 - Python 3.9 has no strict=
    return BatchReply([reply(each.entry, each.request, payload) for each, payload in pairs])


if __name__ == "__main__":
    request = read_request(BatchRequest)
    print_reply(main(request.requests, json.load(sys.stdin)))
