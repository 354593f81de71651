"""Bounded reads, as root, of files that a less privileged user may have replaced.

Only regular files are read: a symbolic link, pipe or device is refused, and so is a file larger than a bound.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from typing import Any

MAX_BYTES = 1 << 20


def open_regular(path: str, dir_fd: int | None = None, follow: bool = False) -> int:
    """Open a regular file. Raises OSError: ELOOP for a link, EINVAL for a directory, pipe, socket or device.

    With `follow`, the target's type is checked before it is opened: opening a device can start it (watchdog(4)).
    """
    if follow:
        path_fd = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            if not stat.S_ISREG(os.fstat(path_fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            return os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(path_fd)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


def read_chunks(fd: int, max_bytes: int) -> Any:
    """Yield the content of an open file in chunks, then close it. Raises EFBIG beyond `max_bytes` bytes."""
    size = 0
    with os.fdopen(fd, "rb") as file:
        if os.fstat(fd).st_size > max_bytes:
            raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes")
        while chunk := file.read(1 << 16):
            size += len(chunk)
            if size > max_bytes:
                raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes")
            yield chunk


def read_untrusted_bytes(
    path: str, dir_fd: int | None = None, follow: bool = False, max_bytes: int = MAX_BYTES
) -> bytes:
    """Return the content of a regular file of bounded size. Raises OSError."""
    return b"".join(read_chunks(open_regular(path, dir_fd, follow), max_bytes))


def read_untrusted_text(path: str, follow: bool = False) -> str | None:
    """Return the text of a small regular file, or None if there is none."""
    try:
        return read_untrusted_bytes(path, follow=follow).decode("utf-8", "replace")
    except OSError:
        return None


def read_untrusted_object(path: str, follow: bool = False) -> dict[str, Any]:
    """Return the JSON object in a small regular file; an empty one if there is none."""
    try:
        content = json.loads(read_untrusted_bytes(path, follow=follow))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
