"""Makes mount points, and makes them immutable, so that nothing can be written where a mount is missing.

Argument: {"paths": [path…], "root": path or null, "owner": [uid, gid]}. A directory that is missing is made: the
mount point itself without any rights, a directory above it as 0755; from `root` downwards those above belong to
`owner`, else to root. A mount point that is covered by a mount is reached through a detached copy of the mount
below it (open_tree(2)). Answer: {"made": [path…], "immutable": [path…], "unsupported": [path…]}.

A link is never followed, and a directory that holds something is never made immutable.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import struct
import sys

from files.pods.common.mountinfo import find_mount, mount_table

OPEN_TREE, OPEN_TREE_CLONE, AT_FDCWD = 428, 1, -100
LONG = struct.calcsize("l")
GET_FLAGS = (2 << 30) | (LONG << 16) | (ord("f") << 8) | 1
SET_FLAGS = (1 << 30) | (LONG << 16) | (ord("f") << 8) | 2
IMMUTABLE = 0x10
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parent_mount(path: str) -> str:
    """The mount point below that of `path`: the deepest one that the path lies under."""
    found = find_mount(path, [mount for mount in mount_table() if mount.point != path])
    return found.point if found else "/"


def open_below(path: str) -> int:
    point = parent_mount(path)
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_long(OPEN_TREE), ctypes.c_int(AT_FDCWD), os.fsencode(point))
    handle = libc.syscall(*words, ctypes.c_uint(OPEN_TREE_CLONE | os.O_CLOEXEC))
    if handle < 0:
        sys.exit(f"{path}: open_tree(2): {os.strerror(ctypes.get_errno())} (it needs root and Linux 5.2)")
    return int(handle)


def guard(path: str, root: str | None, owner: list[int], made: list[str]) -> str:
    handle = open_below(path)
    seen = parent_mount(path).rstrip("/")
    for part in path[len(seen) :].strip("/").split("/"):
        seen += "/" + part
        try:
            below = os.open(part, DIRECTORY, dir_fd=handle)
        except FileNotFoundError:
            os.mkdir(part, 0o000 if seen == path else 0o755, dir_fd=handle)
            below = os.open(part, DIRECTORY, dir_fd=handle)
            made.append(seen)
            if seen != path:
                os.fchmod(below, 0o755)
                if root and (seen == root or seen.startswith(root + "/")):
                    os.fchown(below, *owner)
        except NotADirectoryError:
            sys.exit(f"{seen} is a link or no directory; a mount point needs a real directory")
        handle = below
    if os.listdir(handle):
        sys.exit(f"{path} holds files where the pods are to be mounted: {', '.join(sorted(os.listdir(handle))[:20])}")
    try:
        flags = struct.unpack("l", fcntl.ioctl(handle, GET_FLAGS, struct.pack("l", 0)))[0]
        if not flags & IMMUTABLE:
            fcntl.ioctl(handle, SET_FLAGS, struct.pack("l", flags | IMMUTABLE))
            flags = struct.unpack("l", fcntl.ioctl(handle, GET_FLAGS, struct.pack("l", 0)))[0]
            if not flags & IMMUTABLE:
                sys.exit(f"{path}: the file system took the immutable flag and does not show it")
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            return "unsupported"
        raise
    return "immutable"


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    answer: dict[str, list[str]] = {"made": [], "immutable": [], "unsupported": []}
    for wanted in asked["paths"]:
        answer[guard(wanted, asked["root"], asked["owner"], answer["made"])].append(wanted)
    print(json.dumps(answer))
