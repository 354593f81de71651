"""What others chose as a name, as text that a terminal may show: for programs that import it."""

from __future__ import annotations

import os


def shown(text: str) -> str:
    """A name as printable text: agents choose names."""
    clean = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in clean)[:200]
