"""System calls and ioctls that Python 3.9 does not offer. Errors are OSError."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]

CLONE_NEWNS = 0x20000  # unshare(2)
MS_BIND, MS_REMOUNT, MS_PRIVATE_REC = 0x1000, 0x20, 0x44000  # mount(2)
MS_NOSUID_NODEV = 0x6
MS_NOSYMFOLLOW = 0x100
"""Linux 5.10 and newer; older kernels ignore it."""
ST_NOSYMFOLLOW = 0x2000
"""Flag of statfs(2) on a mount with MS_NOSYMFOLLOW."""
OPEN_TREE, OPEN_TREE_CLONE, AT_FDCWD = 428, 1, -100  # open_tree(2)
AT_EMPTY_PATH, STATX_BTIME, BTIME_OFFSET = 0x1000, 0x800, 80  # statx(2)
RENAME_EXCHANGE = 2  # renameat2(2)
IN_CREATE, IN_MOVED_TO, IN_UNMOUNT, IN_Q_OVERFLOW, IN_IGNORED = 0x100, 0x80, 0x2000, 0x4000, 0x8000  # inotify(7)
IN_ONLYDIR, IN_EXCL_UNLINK = 0x01000000, 0x04000000
_LONG = struct.calcsize("l")
GET_FLAGS = (2 << 30) | (_LONG << 16) | (ord("f") << 8) | 1
SET_FLAGS = (1 << 30) | (_LONG << 16) | (ord("f") << 8) | 2
IMMUTABLE = 0x10
"""Inode flags (ioctl_iflags(2)): FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL."""


def check(result: int) -> int:
    """Return the result of a system call; raise OSError if it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def unshare_mounts() -> None:
    """Enter a private mount namespace: mounts of this process are invisible outside, and the other way round."""
    check(LIBC.unshare(CLONE_NEWNS))
    check(LIBC.mount(b"none", b"/", None, MS_PRIVATE_REC, None))


def mount_tmpfs(options: bytes = b"mode=0755,size=1m") -> None:
    """Mount a small tmpfs at /tmp."""
    check(LIBC.mount(b"none", b"/tmp", b"tmpfs", MS_NOSUID_NODEV, options))


def bind(fd: int, target: str) -> None:
    """Bind-mount an open directory."""
    check(LIBC.mount(f"/proc/self/fd/{fd}".encode(), os.fsencode(target), None, MS_BIND, None))


def open_tree(point: str) -> int:
    """Open a detached copy of a mount: it shows what its submounts cover. Needs root and Linux 5.2."""
    args = (ctypes.c_long(OPEN_TREE), ctypes.c_int(AT_FDCWD), os.fsencode(point))
    return check(int(LIBC.syscall(*args, ctypes.c_uint(OPEN_TREE_CLONE | os.O_CLOEXEC))))


def exchange(first: str, second: str) -> None:
    """Exchange two paths atomically."""
    paths = [os.fsencode(path) for path in (first, second)]
    check(LIBC.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], ctypes.c_uint(RENAME_EXCHANGE)))


def birth_time(fd: int) -> bytes | None:
    """Return the birth time of an inode as opaque bytes; None if C library or file system have none."""
    statx = getattr(LIBC, "statx", None)
    buffer = ctypes.create_string_buffer(256)
    if statx is None or statx(fd, b"", AT_EMPTY_PATH, STATX_BTIME, buffer) != 0 or not buffer.raw[1] & STATX_BTIME >> 8:
        return None
    return buffer.raw[BTIME_OFFSET : BTIME_OFFSET + 12]


def inode_flags(fd: int) -> int | None:
    """Return the inode flags (lsattr(1)); None if the file system has none."""
    try:
        return int(struct.unpack("l", fcntl.ioctl(fd, GET_FLAGS, struct.pack("l", 0)))[0])
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return None
        raise


def set_inode_flags(fd: int, flags: int) -> bool:
    """Set the inode flags (chattr(1)); return False if the file system has none."""
    try:
        fcntl.ioctl(fd, SET_FLAGS, struct.pack("l", flags))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return False
        raise
    return True


def inotify_init() -> int:
    """Open a nonblocking inotify queue."""
    fd = int(LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
    return fd


def inotify_add_watch(queue: int, directory: int, mask: int) -> int:
    """Watch an open directory; return its number."""
    return check(int(LIBC.inotify_add_watch(queue, f"/proc/self/fd/{directory}".encode(), mask)))


def inotify_rm_watch(queue: int, number: int) -> None:
    """Remove a watch, if it is still there."""
    LIBC.inotify_rm_watch(queue, number)
