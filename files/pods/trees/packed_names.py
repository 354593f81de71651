"""Names of a tree's entries in one word, short enough for a command line: for programs that import it."""

from __future__ import annotations

import base64
import os
import zlib

MOST = 10_000  # names that are kept at all
LONGEST = 1 << 15  # characters for all trees of a look: a command has 128 KiB with its program's text (execve(2))


def packed(names: list[str], longest: int = LONGEST) -> str | None:
    """Names in one word; None where it is too long."""
    word = base64.b64encode(zlib.compress(b"".join(os.fsencode(name) + b"\0" for name in names), 9)).decode()
    return word if len(word) <= longest else None


def unpacked(word: str) -> list[str]:
    return [os.fsdecode(name) for name in zlib.decompress(base64.b64decode(word)).split(b"\0")[:-1]]
