"""Working as the host user, within a time: for programs that import it (their text is put in place of the import)."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time

from files.pods.common.mountinfo import carrier, mount_table

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def mounted(path: str) -> tuple[str, str]:
    """The mount point that a path lies on, and its file system's type; from the mount table, which never hangs."""
    found = carrier(path, mount_table())
    return (found.point, found.type) if found else ("/", "rootfs")


def on_network(path: str) -> bool:
    """Whether an NFS server says who owns what lies here. Other network file systems have the ids of this machine:
    root makes and chowns a project root there as on a disk."""
    return mounted(path)[1].startswith("nfs")


def flush(path: str) -> None:
    """Has a file system write what it holds back, so that what is written next comes after it on the disk too."""
    subprocess.run(["sync", "--file-system", path], check=True, timeout=600)


def forget_errors(path: str) -> None:
    """Has errors of earlier writes told to nobody, such as those of a service whose server has just begun to squash:
    the next flush would fail for them (syncfs(2)).
    """
    subprocess.run(["sync", "--file-system", path], stderr=subprocess.DEVNULL, timeout=600, check=False)


def within(seconds: int, path: str) -> None:
    """Lets the program go on in a child, and ends both when that takes too long: a dead server hangs what asks it."""
    child = os.fork()
    if child == 0:
        os.setsid()
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    print(f"{path}: nothing was ready after {seconds} s; is its server there?", file=sys.stderr, flush=True)
    os._exit(1)


def become(user: str, uid: int, gid: int) -> None:
    """Goes on as the host user, with its home and groups and a plain environment. A user that is not there yet has
    its numbers all the same."""
    try:
        home, groups = pwd.getpwnam(user).pw_dir, os.getgrouplist(user, gid)
    except KeyError:
        home, groups = "/nonexistent", [gid]
    if (os.getuid(), os.getgid()) != (uid, gid):
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o022)
    for name in [name for name in os.environ if name.startswith(("XDG_", "GIT_", "SUDO_"))]:
        del os.environ[name]
    os.environ.update(HOME=home, USER=user, LOGNAME=user, PATH=PATH, LC_ALL="C.UTF-8")
    os.environ.update(CI="true", NANOCLAW_NO_DIAGNOSTICS="1", GIT_TERMINAL_PROMPT="0")
    os.chdir("/")
