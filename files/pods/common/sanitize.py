"""Text that a less privileged user chose, made safe for a terminal."""

from __future__ import annotations

import os


def escape_control(text: str) -> str:
    """Escape unprintable characters and shorten to 200: agents choose file names."""
    decoded = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in decoded)[:200]
