"""Reading a file of the system's that may not be there: for programs that import it."""

from __future__ import annotations

from files.pods.common.read_untrusted import bytes_of

MOST = 16 << 20


def read(path: str, errors: str = "replace") -> str | None:
    """The text of a file, or None where there is none to be read. Links are followed, as the system has some."""
    try:
        return bytes_of(path, follow=True, most=MOST).decode("utf-8", errors).replace("\r\n", "\n")
    except OSError:
        return None
