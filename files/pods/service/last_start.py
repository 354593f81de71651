"""The inputs of a service that changed since its last start."""

from __future__ import annotations

import errno
import hashlib

from files.pods.common.read_text import read_text_or_none
from files.pods.common.read_untrusted import read_untrusted_bytes

LARGEST_INPUT = 64 << 20
NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EFBIG)


def digest(path: str) -> str | None:
    """Return the SHA-256 of a file; None if it is missing, a pipe, a device or larger than any input."""
    try:
        return hashlib.sha256(read_untrusted_bytes(path, follow=True, max_bytes=LARGEST_INPUT)).hexdigest()
    except OSError as error:
        if error.errno not in NOTHING:
            raise
        return None


def outdated(inputs: list[str], started: str) -> list[str] | None:
    """Return the inputs that differ from the digests of the last start, which sha256sum(1) wrote; None without them."""
    text = read_text_or_none(started)
    if text is None:
        return None
    noted = {path: hexadecimal for hexadecimal, _, path in (line.partition("  ") for line in text.splitlines())}
    return [path for path in inputs if noted.get(path) != digest(path)]
