"""Creates mount points and makes them immutable, so that nothing can be written while a mount is missing.

Creates missing directories: a mount point without any permission bits, a parent with 0755. If a mount covers the mount
point, it is reached through a detached copy of the mount below (open_tree(2)).
Reply: {"made": [path…], "immutable": [path…], "unsupported": [path…]}.

Never follows a link, and never makes a directory immutable that is not empty.
"""

from __future__ import annotations

import json
import os
import sys

from files.pods.common.linux import IMMUTABLE, inode_flags, open_tree, set_inode_flags
from files.pods.common.mountinfo import find_mount, mount_table
from files.pods.common.protocol import read_request
from files.pods.nfs.protocol import SealRequest
from files.pods.trees.entry import OPEN_DIRECTORY


def parent_mount(path: str) -> str:
    """Return the mount point that holds the parent of a path."""
    mount = find_mount(path, [mount for mount in mount_table() if mount.point != path])
    return mount.point if mount else "/"


def open_parent_mount(path: str) -> int:
    """Open a detached copy of the mount below a mount point."""
    point = parent_mount(path)
    try:
        return open_tree(point)
    except OSError as error:
        sys.exit(f"{path}: open_tree(2): {error.strerror} (it needs root and Linux 5.2)")


def seal(path: str, root: str | None, owner: tuple[int, int], made: list[str]) -> str:
    """Create one mount point and make it immutable; return `immutable` or `unsupported`."""
    fd = open_parent_mount(path)
    reached = parent_mount(path).rstrip("/")
    for part in path[len(reached) :].strip("/").split("/"):
        reached += "/" + part
        try:
            below = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            os.mkdir(part, 0o000 if reached == path else 0o755, dir_fd=fd)
            below = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
            made.append(reached)
            if reached != path:
                os.fchmod(below, 0o755)
                if root and (reached == root or reached.startswith(root + "/")):
                    os.fchown(below, *owner)
        except NotADirectoryError:
            sys.exit(f"{reached} is a link or no directory; a mount point needs a real directory")
        fd = below
    if os.listdir(fd):
        sys.exit(f"{path} holds files where the pods must be mounted: {', '.join(sorted(os.listdir(fd))[:20])}")
    flags = inode_flags(fd)
    if flags is None:
        return "unsupported"
    if not flags & IMMUTABLE:
        if not set_inode_flags(fd, flags | IMMUTABLE):
            return "unsupported"
        if not (inode_flags(fd) or 0) & IMMUTABLE:
            sys.exit(f"{path}: the file system accepted the immutable flag but does not show it")
    return "immutable"


if __name__ == "__main__":
    request = read_request(SealRequest)
    reply: dict[str, list[str]] = {"made": [], "immutable": [], "unsupported": []}
    for path in request.paths:
        reply[seal(path, request.root, request.owner, reply["made"])].append(path)
    print(json.dumps(reply))
