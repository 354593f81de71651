"""What a service took in at its last start."""

from __future__ import annotations

import errno
import hashlib

from files.pods.common.read_text import read_text_or_none
from files.pods.common.read_untrusted import read_untrusted_bytes

LARGEST_INPUT = 64 << 20
NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.EFBIG)


def digest(path: str) -> str | None:
    """The SHA-256 of a file; None where there is none, or a pipe, a device or more than an input ever holds."""
    try:
        return hashlib.sha256(read_untrusted_bytes(path, follow=True, max_bytes=LARGEST_INPUT)).hexdigest()
    except OSError as error:
        if error.errno not in NOTHING:
            raise
        return None


def outdated(inputs: list[str], started: str) -> list[str] | None:
    """The inputs whose digest is another one than the last start noted, as sha256sum(1) prints it."""
    text = read_text_or_none(started)
    if text is None:
        return None
    noted = {path: hexadecimal for hexadecimal, _, path in (line.partition("  ") for line in text.splitlines())}
    return [path for path in inputs if noted.get(path) != digest(path)]
