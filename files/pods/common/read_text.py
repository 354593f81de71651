"""Text files of the system that may be missing."""

from __future__ import annotations

from files.pods.common.read_untrusted import read_untrusted_bytes

MAX_BYTES = 16 << 20


def read_text_or_none(path: str) -> str | None:
    """Return the text of a file, or None if it cannot be read. Follows symbolic links, which the system uses itself."""
    try:
        content = read_untrusted_bytes(path, follow=True, max_bytes=MAX_BYTES)
    except OSError:
        return None
    return content.decode("utf-8", "replace").replace("\r\n", "\n")
