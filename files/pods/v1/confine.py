"""Confine a process to one directory that others write: for programs that import it.

Whatever path they change below its reader's feet leads nowhere but into that directory.
"""

from __future__ import annotations

import os
import re

from files.pods.common.linux import LIBC, MS_BIND, check, mount_tmpfs, unshare_mounts
from files.pods.common.run_command import run_command
from files.pods.trees.entry import GONE, OPEN_DIRECTORY, open_directory

SOURCE = "/source"
MOVE = 0x2000
PROGRAM_BIND, SOURCE_BIND = 0x27 | MS_BIND, 0x2F | MS_BIND
"""mount(2): remount of a bind mount as read-only, nosuid, nodev; and noexec."""
READ_ALL = 2
"""CAP_DAC_READ_SEARCH of capabilities(7)."""
DROP_BOUND, NO_NEW_RIGHTS = 24, 38
"""PR_CAPBSET_DROP and PR_SET_NO_NEW_PRIVS of prctl(2)."""


class AbsentError(Exception):
    """The directory is missing, or a link is on its path. Anything else that is missing is another error."""


def needs_of(program: str) -> list[str]:
    """Return the paths of a program and of the libraries that its loader loads (ldd(1))."""
    listed = run_command(["ldd", program], timeout=20, check=True).stdout
    return [program, *re.findall(r"(?:=>|^)\s*(/\S+) \(0x", listed, re.MULTILINE)]


def directory_below(top: str, *path: str) -> int | None:
    """Open a directory below `top` without following a link; None where there is none."""
    fd = open_directory(top)
    for part in path:
        try:
            below = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return None
        finally:
            os.close(fd)
        fd = below
    return fd


def confine(top: str, path: tuple[str, ...], files: list[str]) -> None:
    """Enter a root that holds one directory, read-only at SOURCE, and some files at their own paths.

    Nothing else of the file system can be reached. Programs that start in it keep one capability of root: to read.
    Raises AbsentError if the directory is gone.
    """
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        capabilities = range(int(file.read()) + 1)
    unshare_mounts()
    source = directory_below(top, *path)  # of the new mounts
    if source is None:
        raise AbsentError(f"{top}/{'/'.join(path)}")
    mount_tmpfs()
    os.mkdir(f"/tmp{SOURCE}")
    bind_read_only(f"/proc/self/fd/{source}", SOURCE, SOURCE_BIND)
    for path_of_file in files:
        os.makedirs(os.path.dirname(f"/tmp{path_of_file}"), exist_ok=True)
        os.close(os.open(f"/tmp{path_of_file}", os.O_WRONLY | os.O_CREAT, 0o600))
        bind_read_only(path_of_file, path_of_file, PROGRAM_BIND)
    check(LIBC.mount(None, b"/tmp", None, PROGRAM_BIND, None))
    enter_root("/tmp")
    os.closerange(3, 65536)  # a directory that stays open would lead out again
    for capability in capabilities:
        if capability != READ_ALL:
            check(LIBC.prctl(DROP_BOUND, capability, 0, 0, 0))
    check(LIBC.prctl(NO_NEW_RIGHTS, 1, 0, 0, 0))


def enter_root(place: str) -> None:
    """Make a mount the root directory: no path leads to the old root any more."""
    os.chdir(place)
    check(LIBC.mount(b".", b"/", None, MOVE, None))
    os.chroot(".")
    os.chdir("/")


def bind_read_only(source: str, target: str, flags: int) -> None:
    """Bind-mount a file or directory read-only in the new root."""
    place = f"/tmp{target}".encode()
    check(LIBC.mount(source.encode(), place, None, MS_BIND, None))
    check(LIBC.mount(None, place, None, flags, None))
