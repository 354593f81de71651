"""Ownership of one entry of a tree that an agent can write to, and safe opening of its directories.

Every step goes from an open directory to a name in it. An entry is opened (O_PATH), then judged, then changed by its
descriptor. Leaves alone: owners that NanoClaw cannot have left, files with several names (one may lie elsewhere),
devices, sockets, pipes, and files with set-id bits (chown would clear them).
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from files.pods.common.linux import birth_time
from files.pods.trees.protocol import CHOWN, ELSEWHERE, KEPT, LINKED, RIGHT, SPECIAL, Verdict

NOBODY = 65534
OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
GONE = (errno.ENOENT, errno.ESTALE, errno.ELOOP, errno.ENOTDIR)  # vanished or replaced since it was listed

HARD_LINKED: dict[tuple[int, int, bytes], None] = {}
"""Files that this process saw with several names."""
MAX_HARD_LINKED = 1 << 16


class Rule(NamedTuple):
    """The desired owner of a tree, the owners that may be replaced, and whether sockets are chowned too."""

    uid: int
    gid: int
    uids: frozenset[int]
    gids: frozenset[int]
    sockets: bool = False


def failed(error: OSError) -> Verdict:
    return Verdict("failed", error=errno.errorcode.get(error.errno or 0, str(error.errno)))


def decide(mode: int, links: int, uid: int, gid: int, rule: Rule) -> Verdict:
    """Return what an entry needs, or why it is left alone."""
    if uid != rule.uid and uid not in rule.uids:
        return Verdict("foreign", (uid, gid))
    if uid == rule.uid and (gid == rule.gid or gid not in rule.gids):
        return RIGHT
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISLNK(mode) or (rule.sockets and stat.S_ISSOCK(mode))):
        return SPECIAL
    if not stat.S_ISDIR(mode) and links > 1:
        return LINKED
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        return SPECIAL
    return CHOWN


def ids_after_chown(gid: int, rule: Rule) -> tuple[int, int]:
    """Return the ids after a chown: a group outside of the rule stays."""
    return rule.uid, rule.gid if gid in rule.gids else gid


def mount_of_fd(fd: int) -> tuple[int, bytes]:
    """Return device and mount id: a bind mount shares the device of its file system (proc(5), fdinfo)."""
    fdinfo = os.open(f"/proc/self/fdinfo/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(fdinfo, 4096).splitlines()
    finally:
        os.close(fdinfo)
    return os.fstat(fd).st_dev, next(line for line in lines if line.startswith(b"mnt_id:"))


def chown_entry(directory: int, name: str, rule: Rule, mount: tuple[int, bytes], apply: bool = True) -> Verdict:
    """Chown one entry by a descriptor that was judged, never by its name; return the verdict."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if mount_of_fd(fd) != mount:
            return ELSEWHERE
        info = os.fstat(fd)
        verdict = decide(info.st_mode, info.st_nlink, info.st_uid, info.st_gid, rule)
        if was_hard_linked(fd, info, verdict):
            return LINKED
        if verdict is CHOWN and apply:
            os.chown(f"/proc/self/fd/{fd}", *ids_after_chown(info.st_gid, rule))  # reaches a link itself
            return verify_owner(fd, ids_after_chown(info.st_gid, rule))
        return verdict
    finally:
        os.close(fd)


def verify_owner(fd: int, ids: tuple[int, int]) -> Verdict:
    """Return the verdict after a chown(2): some file systems report success and do nothing."""
    info = os.fstat(fd)
    return CHOWN if (info.st_uid, info.st_gid) == ids else KEPT


def was_hard_linked(fd: int, info: os.stat_result, verdict: Verdict) -> bool:
    """Return whether a file had several names when this process saw it before: the others may be replaced since.

    The key includes the birth time, because file systems reuse inode numbers. Without a birth time nothing is stored.
    """
    if verdict not in (LINKED, CHOWN) or (verdict is CHOWN and not HARD_LINKED) or not stat.S_ISREG(info.st_mode):
        return False
    birth = birth_time(fd)
    if birth is None:
        return False
    key = (info.st_dev, info.st_ino, birth)
    if verdict is LINKED:
        HARD_LINKED[key] = None
        if len(HARD_LINKED) > MAX_HARD_LINKED:
            del HARD_LINKED[next(iter(HARD_LINKED))]
    return key in HARD_LINKED


def chown_open(fd: int, rule: Rule, apply: bool = True) -> Verdict:
    """Chown an open directory; return the verdict."""
    info = os.fstat(fd)
    verdict = decide(info.st_mode, info.st_nlink, info.st_uid, info.st_gid, rule)
    if verdict is CHOWN and apply:
        try:
            os.fchown(fd, *ids_after_chown(info.st_gid, rule))
        except OSError as error:
            return failed(error)
        return verify_owner(fd, ids_after_chown(info.st_gid, rule))
    return verdict


def open_directory(path: str) -> int:
    """Open a directory; follow only links that no user but root could have created."""
    fd = os.open("/", OPEN_DIRECTORY)
    parts = path.strip("/").split("/")
    for number, part in enumerate(parts):
        try:
            try:
                below = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
            except OSError as error:
                parent, link = os.fstat(fd), os.stat(part, dir_fd=fd, follow_symlinks=False)
                trusted = parent.st_uid == link.st_uid == 0 and not parent.st_mode & 0o022
                if not (stat.S_ISLNK(link.st_mode) and trusted and number < len(parts) - 1):
                    raise error
                below = os.open(part, OPEN_DIRECTORY & ~os.O_NOFOLLOW, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def open_below(root: int, parts: list[str]) -> int:
    """Open a directory below an open one, which is closed: follows no link, stays on the mount."""
    fd, mount = root, mount_of_fd(root)
    for part in parts:
        try:
            below = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
        if mount_of_fd(fd) != mount:
            os.close(fd)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    return fd
