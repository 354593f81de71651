"""Putting a file in the place of another in one rename: for programs that import it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable


def replace(
    path: str,
    content: bytes,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    check: Callable[[str], None] | None = None,
) -> None:
    """Writes a file, and makes directories that it needs. `check` is given the new file and may raise.

    The file is 0600 until it is whole and nobody else's. A link at the path is replaced, never followed.
    """
    folder, name = os.path.split(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        replace_in(directory, name, content, mode, owner, lambda new: check(f"{folder}/{new}") if check else None)
    finally:
        os.close(directory)


def replace_in(
    directory: int,
    name: str,
    content: bytes,
    mode: int,
    owner: tuple[int, int] | None = None,
    check: Callable[[str], None] | None = None,
) -> None:
    """The same in a directory that is open; `check` is given the new file's name in it."""
    new = f".{name}.{secrets.token_hex(8)}"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            found = os.fstat(handle)
            if owner and owner != (found.st_uid, found.st_gid):
                os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            os.fsync(handle)
        if check:
            check(new)
        os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(new, dir_fd=directory)
        raise
    os.fsync(directory)
