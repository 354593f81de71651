"""Writes one file atomically: its content arrives on standard input, its place and rights in argv.

Argument: {"path", "mode" (octal string), "uid", "gid", "validate" (argv with {} for the new file, or []), and "base64":
true where the content is that}.
The file is 0600 from its first byte; it takes the place of the old one in one rename, after `validate` passed.
A link at the path is replaced, never followed.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys

from files.pods.common.atomic_write import replace


def write(path: str, mode: str, uid: int, gid: int, validate: list[str], content: bytes) -> None:
    """Write the file, after `validate` has accepted it."""

    def check(new: str) -> None:
        words = [new if word == "{}" else word for word in validate]
        checked = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if checked.returncode != 0:
            sys.exit(f"{path} was not changed: {words[0]} says\n{checked.stdout}{checked.stderr}")

    replace(path, content, int(mode, 8), (uid, gid), check if validate else None)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    content = sys.stdin.buffer.read()
    write(content=base64.b64decode(content) if arguments.pop("base64", False) else content, **arguments)
