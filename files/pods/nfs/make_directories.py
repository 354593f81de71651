"""Creates directories of the pods with their owner. An existing directory is left alone.

A new directory is chowned before it has its name, or created by `creator` where root is squashed and may chown nothing.

The owner of a parent directory may write there meanwhile. Every step goes from an open directory to a name in it, and
what is chowned is held open and empty: no link is followed that he puts in the way.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from contextlib import suppress

from files.pods.common.protocol import read_request
from files.pods.nfs.protocol import DirectoriesRequest
from files.pods.trees.entry import OPEN_DIRECTORY, open_directory

SWAPPED = (errno.ENOENT, errno.EEXIST, errno.ELOOP, errno.ENOTDIR, errno.ENOTEMPTY)
Ids = tuple[int, int]


def make(path: str, owner: Ids | None, creator: Ids | None) -> bool:
    """Create one directory; False where it exists. Exits where it cannot be created, and leaves none then."""
    above, name = os.path.split(path)
    try:
        parent = open_directory(above)
    except OSError as error:
        sys.exit(f"{above} cannot be opened without following a link: {error.strerror}")
    try:
        return make_in(parent, name, path, owner, creator)
    except OSError as error:
        if error.errno not in SWAPPED:
            raise
        sys.exit(
            f"{path} was not made: something else changes {above} ({error.strerror}). Find out what, then run again."
        )
    finally:
        os.close(parent)


def make_in(parent: int, name: str, path: str, owner: Ids | None, creator: Ids | None) -> bool:
    """Create a directory in an open parent; return False if it exists."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            return False
        sys.exit(f"{path} must be a directory of the pods, but is a link or a file: move it away")
    new = f".{name}.new"
    with suppress(FileNotFoundError):
        os.rmdir(new, dir_fd=parent)  # left by an interrupted run
    fd = create(parent, new)
    try:
        if owner and owner_of(fd) != owner:
            os.fchown(fd, *owner)
    except OSError as error:
        os.close(fd)
        os.rmdir(new, dir_fd=parent)
        created = created_by(creator, parent, new, owner) if owner and creator else None
        if created is None:
            sys.exit(
                f"{path} cannot be chowned to {':'.join(map(str, owner or ()))}: {error.strerror}. The server does not "
                "let this machine's root chown (EPERM: it squashes root; EINVAL: its NFSv4 id mapping is broken, see "
                "nfsidmap(8)); use pods_access squash"
            )
        fd = created
    try:
        os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        if not os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=parent, follow_symlinks=False)):
            raise OSError(errno.EEXIST, "another entry has its name")
    finally:
        os.close(fd)
    return True


def create(parent: int, name: str) -> int:
    """Create a directory and open it. Raises OSError where somebody has put something else in its place."""
    os.mkdir(name, 0o755, dir_fd=parent)
    fd = os.open(name, OPEN_DIRECTORY, dir_fd=parent)
    try:
        if os.listdir(fd):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), name)
        os.fchmod(fd, 0o755)
    except BaseException:
        os.close(fd)
        raise
    return fd


def owner_of(fd: int) -> Ids:
    """Return the owner of an open directory."""
    info = os.fstat(fd)
    return info.st_uid, info.st_gid


def created_by(creator: Ids, parent: int, name: str, owner: Ids) -> int | None:
    """Create a directory with these ids and open it; None, and no directory, where it is not the owner's then."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(creator[1])
    os.seteuid(creator[0])
    try:
        fd = create(parent, name)
        if owner_of(fd) == owner:
            return fd
        os.close(fd)
        os.rmdir(name, dir_fd=parent)
    except OSError:
        pass
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
    return None


if __name__ == "__main__":
    request = read_request(DirectoriesRequest)
    if request.mounted and not os.path.ismount(request.pods):
        sys.exit(f"nothing is mounted at {request.pods}: no directory is made there")
    made = [path for path in request.paths if make(path, request.owner, request.creator)]
    print(json.dumps({"made": made}))
