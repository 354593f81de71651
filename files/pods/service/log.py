"""A service's log, as text that is safe on a terminal."""

from __future__ import annotations

import os

HEAD, TAIL, LOG_BYTES = 60, 30, 1 << 16
"""Lines to show from the beginning and from the end of a start's log, and bytes to read of it."""


def size_of(path: str) -> int:
    """Return the size of a file; 0 if it is missing."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def logged(path: str, since: int) -> list[str]:
    """Return the lines of a log from an offset on; from its beginning if it was rotated since."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(since if since <= size else 0)
            text = file.read(LOG_BYTES)
    except OSError:
        return []
    return plain(text) if text else []


def shortened(lines: list[str]) -> list[str]:
    """Return the first and the last lines: an error starts with its title."""
    if len(lines) <= HEAD + TAIL:
        return lines
    return [*lines[:HEAD], f"… {len(lines) - HEAD - TAIL} lines …", *lines[-TAIL:]]


def plain(text: bytes) -> list[str]:
    """Return printable lines: agents write in the log, and an operator's terminal shows it."""
    lines = text.decode("utf-8", "backslashreplace").rstrip().split("\n")
    return ["".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in lines]
