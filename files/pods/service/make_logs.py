"""Create the logs of a service and their directory, or chown them. Follows no link.

The host user writes in the root: what it puts in the place of the directory meanwhile is not reached, and a log with
several names stays as it is.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress

from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.service.protocol import MakeLogsRequest
from files.pods.trees.entry import OPEN_DIRECTORY, open_directory


def set_owner(parent: int, name: str, owner: tuple[int, int] | None) -> None:
    """Chown a directory, or a file of one name, deciding on what is held open."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        info = os.fstat(fd)
        if not stat.S_ISDIR(info.st_mode) and not (stat.S_ISREG(info.st_mode) and info.st_nlink == 1):
            sys.exit(f"{name} is a link, no file, or has several names: move it away, then run again")
        if owner and (info.st_uid, info.st_gid) != owner:
            os.chown(f"/proc/self/fd/{fd}", *owner)
    finally:
        os.close(fd)


def make_logs(request: MakeLogsRequest) -> None:
    """Take the steps in their order."""
    top = open_directory(request.root)
    for what, path in request.steps:
        folder, name = os.path.split(path[len(request.root) :].lstrip("/"))
        parent = os.open(folder, OPEN_DIRECTORY, dir_fd=top) if folder else os.dup(top)
        with suppress(FileExistsError):
            if what == "directory":
                os.mkdir(name, 0o755, dir_fd=parent)
            elif what == "file":
                # systemd would make it, as root: the host user could not rotate it.
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                os.close(os.open(name, flags, 0o644, dir_fd=parent))
        set_owner(parent, name, request.owner)
        os.close(parent)
    os.close(top)


if __name__ == "__main__":
    request = read_request(MakeLogsRequest)
    run_with_deadline(60, request.root)
    try:
        make_logs(request)
    except OSError as error:
        sys.exit(f"the logs of {request.root} cannot be made: {error}. See who writes there, then run again")
