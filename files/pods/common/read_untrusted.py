"""Reading what somebody else may have put in a place, as root: for programs that import it.

Nothing but a regular file is read: no link is followed, no pipe waited for, and no more than a bound is taken.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

LARGEST = 1 << 20


def open_file(path: str, above: int | None = None, follow: bool = False) -> int:
    """Open a regular file. Raises OSError: ELOOP for a link, EINVAL for a directory, pipe, socket or device.

    Where a link is followed, what it leads to is looked at first: to open a device can be to start it (watchdog(4)).
    """
    if follow:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=above)
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(place)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW, dir_fd=above)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return handle


def pieces(handle: int, most: int) -> Any:
    """What an open file holds, in pieces. Closes it. Raises EFBIG where that is more than `most` bytes."""
    taken = 0
    with os.fdopen(handle, "rb") as file:
        if os.fstat(handle).st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most} bytes")
        while piece := file.read(1 << 16):
            taken += len(piece)
            if taken > most:
                raise OSError(errno.EFBIG, f"larger than {most} bytes")
            yield piece


def bytes_of(path: str, above: int | None = None, follow: bool = False, most: int = LARGEST) -> bytes:
    """What a regular file of bounded size holds. Raises OSError."""
    return b"".join(pieces(open_file(path, above, follow), most))


def text_of(path: str, follow: bool = False) -> str | None:
    """The text of a small regular file, or None where there is none."""
    try:
        return bytes_of(path, follow=follow).decode("utf-8", "replace")
    except OSError:
        return None
