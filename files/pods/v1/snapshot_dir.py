"""Read a NanoClaw v1 from a root that cannot change it: for programs that import it."""

from __future__ import annotations

import codecs
import contextlib
import os
import stat

from files.pods.common.linux import LIBC, MS_BIND, bind, check, mount_tmpfs, unshare_mounts
from files.pods.v1.confine import enter_root
from files.pods.v1.v1_state import TreeState

TREES = ("store", "groups", "data")
FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ_ONLY = 0x20 | MS_BIND | 0xF
"""Remount of a bind mount: read-only, nosuid, nodev, noexec (mount(2))."""
SCRATCH = 300 << 20
CODECS = ("ascii", "latin-1", "unicode_escape")
"""Python loads them at first use, when its library is out of reach."""
PROC = ("/proc/self/fdinfo", "/proc/meminfo")
"""Files that are read there; the directory of a process would lead out again (proc(5), root)."""


def kind_of(path: str) -> TreeState:
    """Return what a tree of the install is: there, absent, link, unreadable, or no directory."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except PermissionError:
        return "unreadable"
    if stat.S_ISLNK(mode):
        return "link"
    return "there" if stat.S_ISDIR(mode) else "no directory"


def enter_read_only(root: str, scratch: str | None = None) -> tuple[str, str]:
    """Enter a private root. Return the project root there, which is mounted read-only (not even access times change),
    and an empty directory in memory, which ends with this process.

    No path leads anywhere else, whatever links agents make meanwhile: SQLite follows those. Of other file systems it
    has only those that are mounted exactly at one of TREES.

    + scratch: a directory to mount and return instead of the one in memory
    """
    for codec in CODECS:
        codecs.lookup(codec)
    unshare_mounts()
    fds = {"": os.open(root, FOLDER)}  # of the new mounts, and before anything covers them
    for name in TREES:
        with contextlib.suppress(OSError):
            fds["/" + name] = os.open(f"{root}/{name}", FOLDER)
    scratch_fd = os.open(scratch, FOLDER) if scratch else None
    mount_tmpfs(options=b"mode=0700,size=%d" % SCRATCH)
    for name in ("v1", "scratch", "tmp", "proc/self/fdinfo"):
        os.makedirs(f"/tmp/{name}")
    os.close(os.open("/tmp/proc/meminfo", os.O_WRONLY | os.O_CREAT, 0o600))
    for name in PROC:
        check(LIBC.mount(name.encode(), f"/tmp{name}".encode(), None, MS_BIND, None))
    for name, fd in fds.items():
        target = f"/tmp/v1{name}".encode()
        check(LIBC.mount(f"/proc/self/fd/{fd}".encode(), target, None, MS_BIND, None))
        check(LIBC.mount(None, target, None, READ_ONLY, None))
        os.close(fd)
    if scratch_fd is not None:
        bind(scratch_fd, "/tmp/scratch")
        os.close(scratch_fd)
    enter_root("/tmp")
    return "/v1", "/scratch"
