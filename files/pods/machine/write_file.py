"""Writes one file atomically: its content arrives on standard input.

The file is 0600 from its first byte; it takes the place of the old one in one rename, after `validate` passed.
A link at the path is replaced, never followed.
"""

from __future__ import annotations

import base64
import sys

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.run_command import run_command
from files.pods.machine.protocol import WriteFileRequest


def write(request: WriteFileRequest, content: bytes) -> None:
    """Write the file, after `validate` has accepted it."""

    def check(new: str) -> None:
        argv = [new if arg == "{}" else arg for arg in request.validate]
        checked = run_command(argv, timeout=60)
        if checked.returncode != 0:
            sys.exit(f"{request.path} was not changed: {argv[0]} says\n{checked.stdout}{checked.stderr}")

    ids, validate = (request.uid, request.gid), check if request.validate else None
    replace(request.path, base64.b64decode(content) if request.base64 else content, int(request.mode, 8), ids, validate)


if __name__ == "__main__":
    write(read_request(WriteFileRequest), sys.stdin.buffer.read())
