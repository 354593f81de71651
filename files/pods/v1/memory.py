"""Bring the memory of groups to v2, as v2 reads it: for programs that import it.

NanoClaw's own step makes CLAUDE.local.md of a group's memory only if there is none, so what v1 has written since would
be lost. v2 removes groups/global at its first start, so the memory that all groups but main share becomes a file in
each of them. A different CLAUDE.local.md is kept as CLAUDE.local.md.HASH, since v2 may have had it before. No link is
followed: agents may own v2's groups.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from typing import Any

from files.pods.common.atomic_write import replace_in
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import GONE, OPEN_DIRECTORY
from files.pods.v1.rules import is_folder

OWN, SHARED = "CLAUDE.local.md", "CLAUDE.global.md"
LONGEST_MEMORY = 64 << 20
LINE = b"@./CLAUDE.global.md\n"


class StrangeError(Exception):
    """An entry is neither a file nor a directory, or too large; says which."""


def text_in(directory: int, name: str) -> bytes | None:
    """Return the content of a regular file; None if there is none."""
    try:
        return read_untrusted_bytes(name, directory, max_bytes=LONGEST_MEMORY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EFBIG):
            raise
        raise StrangeError(f"{name} is a link, no file, or too large") from error


def kept_open(opened: contextlib.ExitStack, fd: int) -> int:
    """Close an fd with a stack; return the fd."""
    opened.callback(os.close, fd)
    return fd


def folder_in(opened: contextlib.ExitStack, directory: int, name: str, make: bool) -> int | None:
    """Open a directory until the stack closes it; with `make`, create a missing one."""
    if make:
        with contextlib.suppress(FileExistsError):  # a link exists too, and is refused below
            os.mkdir(name, 0o755, dir_fd=directory)
    try:
        return kept_open(opened, os.open(name, OPEN_DIRECTORY, dir_fd=directory))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in GONE:
            raise
        raise StrangeError(f"{name} is a link, or no directory") from error


def settle_memory(snapshot: str, root: str, others: list[str], answer: dict[str, Any]) -> None:
    """Bring the memory of every folder of the snapshot to the project root of v2.

    + others: folders of registered groups that are not the main one
    """
    with contextlib.ExitStack() as opened:
        old, new = (kept_open(opened, os.open(f"{top}/groups", OPEN_DIRECTORY)) for top in (snapshot, root))
        everywhere = folder_in(opened, old, "global", make=False)
        shared = text_in(everywhere, "CLAUDE.md") if everywhere is not None else None
        for name in sorted({*os.listdir(old), *others} - {"global"}):
            try:
                settle_folder(old, new, name, shared if name in others else None, answer)
            except StrangeError as error:
                answer["left"].append({"what": f"memory of {escape_control(name)}", "why": str(error)})


def settle_folder(old: int, new: int, name: str, shared: bytes | None, answer: dict[str, Any]) -> None:
    """Bring the memory of one folder to v2, with the shared memory if it gets that."""
    with contextlib.ExitStack() as opened:
        before = folder_in(opened, old, name, make=False)
        memory = text_in(before, "CLAUDE.md") if before is not None else None
        fd = folder_in(opened, new, name, make=True) if memory is not None or shared is not None else None
        if fd is not None:
            answer["memories"] += settle_own(fd, memory, shared)
            answer["global"] += shared is not None


def settle_own(fd: int, memory: bytes | None, shared: bytes | None) -> bool:
    """Write the files that differ in the folder of a group; return whether its own memory did."""
    now = text_in(fd, OWN)
    if shared is not None and text_in(fd, SHARED) != shared:
        replace_in(fd, SHARED, shared, 0o644)
    current = (now or b"").replace(LINE, b"", 1) if (now or b"").startswith(LINE) else now
    desired = memory if memory is not None else current or b""
    text = (LINE if shared is not None else b"") + desired
    if text == now:
        return False
    if current and current != desired:
        replace_in(fd, f"{OWN}.{hashlib.sha256(current).hexdigest()[:8]}", current, 0o644)
    replace_in(fd, OWN, text, 0o644)
    return (current or b"") != desired


def memories_of(groups: list[dict[str, Any]]) -> list[str]:
    """Return the folders with agents that read groups/global: all but the main group's."""
    every = {row["folder"] for row in groups if is_folder(row["folder"])}
    return sorted(every - {row["folder"] for row in groups if row["is_main"]} - {"main", "global"})
