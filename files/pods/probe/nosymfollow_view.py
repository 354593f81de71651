"""Trees that others write in, seen by root without any symbolic link: for programs that import it.

Each tree is bound from a descriptor that was reached without following a link, into mounts of this process's own, with
MS_NOSYMFOLLOW (mount(2), Linux 5.10): whatever is swapped in a tree meanwhile, no path below VIEW leads out of it.
"""

from __future__ import annotations

import os

from files.pods.common.run_as_ids import BIND, LIBC, NEW_MOUNTS, RECURSIVE_PRIVATE, SAFE_TMPFS, checked
from files.pods.trees.entry import open_directory

VIEW = "/tmp/trees"
NO_LINKS, REMOUNT = 0x100, 0x20
NOT_FOLLOWED = 0x2000  # of statfs(2): the kernel knows MS_NOSYMFOLLOW; an older one ignores it


def anchor(path: str) -> str:
    """The deepest directory of a path that is there, reached without a link that others could have made."""
    while True:
        try:
            os.close(open_directory(path))
            return path
        except FileNotFoundError:
            path = os.path.dirname(path)


def linkless(anchors: list[str]) -> None:
    """Has this process see each of these directories at VIEW and its path. /tmp is another one from then on."""
    checked(LIBC.unshare(NEW_MOUNTS))
    checked(LIBC.mount(b"none", b"/", None, RECURSIVE_PRIVATE, None))
    handles = [(path, open_directory(path)) for path in sorted(set(anchors))]
    checked(LIBC.mount(b"none", b"/tmp", b"tmpfs", SAFE_TMPFS, b"mode=0755,size=1m"))
    for path, handle in handles:
        point = os.fsencode(VIEW + path)
        os.makedirs(point, exist_ok=True)  # one below another is there already
        checked(LIBC.mount(f"/proc/self/fd/{handle}".encode(), point, None, BIND, None))
        checked(LIBC.mount(b"none", point, None, BIND | REMOUNT | NO_LINKS | kept(point), None))
        if not os.statvfs(point).f_flag & NOT_FOLLOWED:
            raise OSError("the kernel follows links in a mount with MS_NOSYMFOLLOW: Linux 5.10 is needed")
        os.close(handle)


def kept(point: bytes) -> int:
    """The flags that the mount has: a remount states them all."""
    flags = os.statvfs(point).f_flag
    pairs = ((os.ST_RDONLY, 1), (os.ST_NOSUID, 2), (os.ST_NODEV, 4), (os.ST_NOEXEC, 8))
    times = ((os.ST_NOATIME, 0x400), (os.ST_NODIRATIME, 0x800), (os.ST_RELATIME, 0x200000))
    return sum(flag for bit, flag in (*pairs, *times) if flags & bit)
