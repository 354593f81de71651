"""The memory of groups, as v2 reads it: for programs that import it.

NanoClaw's own step makes CLAUDE.local.md of a group's memory where there is none yet: what v1 has written since would
be lost. v2 removes groups/global at its first start: what all groups but main know becomes a file of each of them. A
CLAUDE.local.md that said something else is kept beside, as CLAUDE.local.md.HASH, since v2 may have had it before. No
link is followed: v2's groups may be an agent's.
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
    """Something else than a file or a directory is in a place."""


def text_in(directory: int, name: str) -> bytes | None:
    """What a regular file holds; None where there is none."""
    try:
        return read_untrusted_bytes(name, directory, max_bytes=LONGEST_MEMORY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EINVAL, errno.ENXIO, errno.EFBIG):
            raise
        raise StrangeError(f"{name} is a link, no file, or too large") from error


def kept_open(opened: contextlib.ExitStack, fd: int) -> int:
    """Has a stack close an fd."""
    opened.callback(os.close, fd)
    return fd


def folder_in(opened: contextlib.ExitStack, directory: int, name: str, make: bool) -> int | None:
    """Opens a directory until the stack closes it; makes it where it is not there."""
    if make:
        with contextlib.suppress(FileExistsError):  # a link counts as there, and is refused below
            os.mkdir(name, 0o755, dir_fd=directory)
    try:
        return kept_open(opened, os.open(name, OPEN_DIRECTORY, dir_fd=directory))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in GONE:
            raise
        raise StrangeError(f"{name} is a link, or no directory") from error


def settle_memory(view: str, root: str, others: list[str], answer: dict[str, Any]) -> None:
    """Brings the memory of every folder of the view to the project root of v2.

    + others: folders of registered groups that are not the main one
    """
    with contextlib.ExitStack() as opened:
        old, new = (kept_open(opened, os.open(f"{top}/groups", OPEN_DIRECTORY)) for top in (view, root))
        everywhere = folder_in(opened, old, "global", make=False)
        shared = text_in(everywhere, "CLAUDE.md") if everywhere is not None else None
        for name in sorted({*os.listdir(old), *others} - {"global"}):
            try:
                settle_folder(old, new, name, shared if name in others else None, answer)
            except StrangeError as error:
                answer["left"].append({"what": f"memory of {escape_control(name)}", "why": str(error)})


def settle_folder(old: int, new: int, name: str, knows: bytes | None, answer: dict[str, Any]) -> None:
    """Brings the memory of one folder over, with what all groups know if it is one of these."""
    with contextlib.ExitStack() as opened:
        before = folder_in(opened, old, name, make=False)
        memory = text_in(before, "CLAUDE.md") if before is not None else None
        place = folder_in(opened, new, name, make=True) if memory is not None or knows is not None else None
        if place is not None:
            answer["memories"] += settle_own(place, memory, knows)
            answer["global"] += knows is not None


def settle_own(place: int, memory: bytes | None, shared: bytes | None) -> bool:
    """Writes what differs in the folder of a group; whether its own memory did."""
    now = text_in(place, OWN)
    if shared is not None and text_in(place, SHARED) != shared:
        replace_in(place, SHARED, shared, 0o644)
    said = (now or b"").replace(LINE, b"", 1) if (now or b"").startswith(LINE) else now
    wanted = memory if memory is not None else said or b""
    text = (LINE if shared is not None else b"") + wanted
    if text == now:
        return False
    if said and said != wanted:
        replace_in(place, f"{OWN}.{hashlib.sha256(said).hexdigest()[:8]}", said, 0o644)
    replace_in(place, OWN, text, 0o644)
    return (said or b"") != wanted


def memories_of(groups: list[dict[str, Any]]) -> list[str]:
    """The folders that v1 gives groups/global to: all but that of the main group."""
    every = {row["folder"] for row in groups if is_folder(row["folder"])}
    return sorted(every - {row["folder"] for row in groups if row["is_main"]} - {"main", "global"})
