"""Atomic replacement of a file by rename(2)."""

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
    """Write a file atomically, and create its missing parent directories.

    `check` receives the path of the new file and may raise. Until its content is complete the file is 0600 and root's.
    A symbolic link at the path is replaced, never followed.
    """
    folder, name = os.path.split(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        replace_in(fd, name, content, mode, owner, lambda temporary: check(f"{folder}/{temporary}") if check else None)
    finally:
        os.close(fd)


def rename_to_disk(source: str, target: str) -> None:
    """Rename a file with its content on the disk; a power cut afterwards leaves the new name (fsync(2))."""
    os.rename(source, target)
    folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def replace_in(
    directory: int,
    name: str,
    content: bytes,
    mode: int,
    owner: tuple[int, int] | None = None,
    check: Callable[[str], None] | None = None,
) -> None:
    """Write a file atomically in an open directory; `check` receives the new file's name in that directory."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            info = os.fstat(fd)
            if owner and owner != (info.st_uid, info.st_gid):
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            os.fsync(fd)
        if check:
            check(temporary)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    os.fsync(directory)
