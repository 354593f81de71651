"""What a service has logged, as text that a terminal may show."""

from __future__ import annotations

import os

HEAD, TAIL, LOG_BYTES = 60, 30, 1 << 16
"""Lines from the beginning and from the end of what is shown of a start, and bytes that are read of it."""


def size_of(path: str) -> int:
    """Return the size of a file; 0 if it is missing."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def logged(path: str, since: int) -> list[str]:
    """The lines of a log from an offset on; from its beginning where it was rotated since."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(since if since <= size else 0)
            text = file.read(LOG_BYTES)
    except OSError:
        return []
    return plain(text) if text else []


def shortened(lines: list[str]) -> list[str]:
    """Lines without those in the middle: a cause has its title at its beginning."""
    if len(lines) <= HEAD + TAIL:
        return lines
    return [*lines[:HEAD], f"… {len(lines) - HEAD - TAIL} lines …", *lines[-TAIL:]]


def plain(text: bytes) -> list[str]:
    """Lines as printable text: agents have a say in what is logged, and an operator's terminal shows it."""
    lines = text.decode("utf-8", "backslashreplace").rstrip().split("\n")
    return ["".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in lines]
