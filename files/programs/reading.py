"""Reading a file that may not be there: for programs that import it."""

from __future__ import annotations


def read(path: str, errors: str = "replace") -> str | None:
    """The text of a file, or None where there is none to be read."""
    try:
        with open(path, encoding="utf-8", errors=errors) as file:
            return file.read()
    except OSError:
        return None
