"""Names of a tree's entries as one word that fits into a command line."""

from __future__ import annotations

import base64
import os
import zlib

MAX_NAMES = 10_000  # per tree
MAX_CHARS = 1 << 15  # for all trees: one argument holds 128 KiB (execve(2))


def pack_names(names: list[str], max_chars: int = MAX_CHARS) -> str | None:
    """Pack names into one word; return None if it exceeds `max_chars`."""
    word = base64.b64encode(zlib.compress(b"".join(os.fsencode(name) + b"\0" for name in names), 9)).decode()
    return word if len(word) <= max_chars else None


def unpack_names(word: str) -> list[str]:
    """Return the names in a packed word."""
    return [os.fsdecode(name) for name in zlib.decompress(base64.b64decode(word)).split(b"\0")[:-1]]
