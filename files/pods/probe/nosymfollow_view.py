"""A view of trees that others write to, in which the kernel follows no symbolic link.

Each tree is bound from a descriptor that was opened without following a link, in a private mount namespace, with
MS_NOSYMFOLLOW (mount(2), Linux 5.10). Whatever others swap in a tree, no path below VIEW leads out of it.
"""

from __future__ import annotations

import os

from files.pods.common.linux import (
    LIBC,
    MS_BIND,
    MS_NOSYMFOLLOW,
    MS_REMOUNT,
    ST_NOSYMFOLLOW,
    bind,
    check,
    mount_tmpfs,
    unshare_mounts,
)
from files.pods.trees.entry import open_directory

VIEW = "/tmp/trees"


def deepest_directory(path: str) -> str:
    """Return the deepest existing directory of a path, reached through no link that others could have created."""
    while True:
        try:
            os.close(open_directory(path))
            return path
        except FileNotFoundError:
            path = os.path.dirname(path)


def enter_view(anchors: list[str]) -> None:
    """Show each directory at VIEW plus its path. Replaces /tmp for this process."""
    unshare_mounts()
    fds = [(path, open_directory(path)) for path in sorted(set(anchors))]
    mount_tmpfs()
    for path, fd in fds:
        point = os.fsencode(VIEW + path)
        os.makedirs(point, exist_ok=True)  # exists already if one lies below another
        bind(fd, VIEW + path)
        check(LIBC.mount(b"none", point, None, MS_BIND | MS_REMOUNT | MS_NOSYMFOLLOW | mount_flags(point), None))
        if not os.statvfs(point).f_flag & ST_NOSYMFOLLOW:
            raise OSError("the kernel ignores MS_NOSYMFOLLOW: Linux 5.10 is needed")
        os.close(fd)


def mount_flags(point: bytes) -> int:
    """Return the flags of a mount: a remount has to repeat them all."""
    flags = os.statvfs(point).f_flag
    pairs = ((os.ST_RDONLY, 1), (os.ST_NOSUID, 2), (os.ST_NODEV, 4), (os.ST_NOEXEC, 8))
    times = ((os.ST_NOATIME, 0x400), (os.ST_NODIRATIME, 0x800), (os.ST_RELATIME, 0x200000))
    return sum(flag for bit, flag in (*pairs, *times) if flags & bit)
