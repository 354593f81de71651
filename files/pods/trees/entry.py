"""What is done with one entry of a tree that an agent can write to, and how its directories are opened.

For programs that import it. Every step goes from an open directory to a name in it; an entry is decided on once it is
held open (O_PATH), and it is that which is changed. Left alone: owners that NanoClaw cannot have left, files with
several names (one may lie elsewhere), devices, sockets, pipes, and files with set-id bits (chown would clear them).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from typing import NamedTuple

NOBODY = 65534
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
GONE = (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR)  # vanished or replaced since it was listed


STATX = getattr(ctypes.CDLL(None), "statx", None)
EMPTY_PATH, BIRTH, BIRTH_AT = 0x1000, 0x800, 80  # of statx(2)
LINKED: dict[tuple[int, int, bytes], None] = {}
MOST_LINKED = 1 << 16


class Rule(NamedTuple):
    """Whose a tree is to be, which owners may be replaced, and whether sockets are given too."""

    uid: int
    gid: int
    uids: frozenset[int]
    gids: frozenset[int]
    sockets: bool = False


def decide(mode: int, links: int, uid: int, gid: int, rule: Rule) -> str:
    """What to do with an entry: it is right, to be given, or why it is left alone."""
    if uid != rule.uid and uid not in rule.uids:
        return "foreign"
    if uid == rule.uid and (gid == rule.gid or gid not in rule.gids):
        return "right"
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode) or (rule.sockets and stat.S_ISSOCK(mode))):
        return "special"
    if not stat.S_ISDIR(mode) and links > 1:
        return "linked"
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        return "special"
    return "give"


def new_ids(gid: int, rule: Rule) -> tuple[int, int]:
    """The ids of an entry after it was given: a group that may not be replaced stays."""
    return rule.uid, rule.gid if gid in rule.gids else gid


def place_of(handle: int) -> tuple[int, bytes]:
    """The file system and the mount of what is open: a bind mount has its file system's device (proc(5), fdinfo)."""
    about = os.open(f"/proc/self/fdinfo/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(about, 4096).splitlines()
    finally:
        os.close(about)
    return os.fstat(handle).st_dev, next(line for line in lines if line.startswith(b"mnt_id:"))


def give(directory: int, name: str, rule: Rule, place: tuple[int, bytes], apply: bool = True) -> str:
    """Gives one entry, deciding on what is held open and not on its name."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if place_of(handle) != place:
            return "elsewhere"
        now = os.fstat(handle)
        verdict = decide(now.st_mode, now.st_nlink, now.st_uid, now.st_gid, rule)
        if was_linked(handle, now, verdict):
            return "linked"
        if verdict == "give" and apply:
            os.chown(f"/proc/self/fd/{handle}", *new_ids(now.st_gid, rule))  # reaches a link itself
            return verdict_after(handle, new_ids(now.st_gid, rule))
        return verdict
    finally:
        os.close(handle)


def verdict_after(handle: int, ids: tuple[int, int]) -> str:
    """`give` where chown(2) took effect, else `kept`: some file systems report success and keep the owner."""
    now = os.fstat(handle)
    return "give" if (now.st_uid, now.st_gid) == ids else "kept"


def was_linked(handle: int, now: os.stat_result, verdict: str) -> bool:
    """Whether a file had several names when this process saw it before: the others may have been replaced since.

    Known by its birth time too, for a file system uses an inode's number again; none is kept where it tells none.
    """
    if verdict not in ("linked", "give") or (verdict == "give" and not LINKED) or not stat.S_ISREG(now.st_mode):
        return False
    about = ctypes.create_string_buffer(256)
    if STATX is None or STATX(handle, b"", EMPTY_PATH, BIRTH, about) != 0 or not about.raw[1] & BIRTH >> 8:
        return False
    key = (now.st_dev, now.st_ino, about.raw[BIRTH_AT : BIRTH_AT + 12])
    if verdict == "linked":
        LINKED[key] = None
        if len(LINKED) > MOST_LINKED:
            del LINKED[next(iter(LINKED))]
    return key in LINKED


def give_open(handle: int, rule: Rule, apply: bool = True) -> str:
    """Gives a directory that is open."""
    now = os.fstat(handle)
    verdict = decide(now.st_mode, now.st_nlink, now.st_uid, now.st_gid, rule)
    if verdict == "give" and apply:
        try:
            os.fchown(handle, *new_ids(now.st_gid, rule))
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error.errno))
        return verdict_after(handle, new_ids(now.st_gid, rule))
    return f"foreign {now.st_uid}:{now.st_gid}" if verdict == "foreign" else verdict


def open_directory(path: str) -> int:
    """Opens a tree's root without following a link that anybody but root could have put into the path."""
    handle = os.open("/", DIRECTORY)
    parts = path.strip("/").split("/")
    for number, part in enumerate(parts):
        try:
            try:
                below = os.open(part, DIRECTORY, dir_fd=handle)
            except OSError as error:
                above, link = os.fstat(handle), os.stat(part, dir_fd=handle, follow_symlinks=False)
                trusted = above.st_uid == link.st_uid == 0 and not above.st_mode & 0o022
                if not (stat.S_ISLNK(link.st_mode) and trusted and number < len(parts) - 1):
                    raise error
                below = os.open(part, DIRECTORY & ~os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    return handle


def open_below(root: int, parts: list[str]) -> int:
    """Opens a directory below an open one, which it closes: follows no link, and does not go into another mount."""
    handle, place = root, place_of(root)
    for part in parts:
        try:
            below = os.open(part, DIRECTORY, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
        if place_of(handle) != place:
            os.close(handle)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return handle
