"""Set entries of .env and close the places that hold secrets. Values come by standard input and are never shown.

Standard input: {name: value}. .env is replaced in one rename and is 0600 from its first byte. Follows no link.
"""

from __future__ import annotations

import json
import os
import stat
import sys

from files.pods.common.atomic_write import replace_in
from files.pods.common.dotenv import merge_entries
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import MAX_BYTES, read_chunks
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.service.protocol import SetEnvRequest

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
BYTES = "surrogateescape"
"""Bytes that are no text stay as they are."""


def set_rights(fd: int, mode: int, owner: tuple[int, int] | None) -> None:
    """Set mode and owner of an open file."""
    info = os.fstat(fd)
    if owner and (info.st_uid, info.st_gid) != owner:
        os.fchown(fd, *owner)
    if stat.S_IMODE(info.st_mode) != mode:
        os.fchmod(fd, mode)


def open_in(directory: int, name: str, flags: int) -> int | None:
    """Open a name in a directory, or return None if it is missing."""
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        return None
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) and not flags & os.O_DIRECTORY:
        sys.exit(f"{name} is no regular file: move it away first")
    if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
        sys.exit(f"{name} has another name too (a hard link): remove that one first")
    return fd


def set_entries(directory: int, desired: dict[str, str], owner: tuple[int, int] | None) -> None:
    """Set entries of .env atomically."""
    old = open_in(directory, ".env", os.O_RDONLY)
    text = ""
    if old is not None:
        set_rights(old, 0o600, owner)
        try:
            text = b"".join(read_chunks(old, MAX_BYTES)).decode(errors=BYTES)
        except OSError as error:
            sys.exit(f".env cannot be read ({error.strerror}): make it a file of at most {MAX_BYTES >> 20} MiB")
    new = merge_entries(text, desired)
    if new == text:
        return
    replace_in(directory, ".env", new.encode(errors=BYTES), 0o600, owner)


def close_copy(directory: int, owner: tuple[int, int] | None) -> None:
    """data/env/env is NanoClaw's own copy of .env."""
    data = open_in(directory, "data", DIRECTORY)
    env_fd = open_in(data, "env", DIRECTORY) if data is not None else None
    if env_fd is None:
        return
    set_rights(env_fd, 0o700, owner)
    copy = open_in(env_fd, "env", os.O_RDONLY)
    if copy is not None:
        set_rights(copy, 0o600, owner)


def main() -> None:
    """Set the entries of the request."""
    request = read_request(SetEnvRequest)
    desired = json.load(sys.stdin)
    run_with_deadline(60, request.root)
    directory = os.open(request.root, DIRECTORY)
    set_entries(directory, desired, request.owner)
    close_copy(directory, request.owner)


if __name__ == "__main__":
    main()
