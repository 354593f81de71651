"""The host user's identity and environment, and deadlines for programs that touch a network file system."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time

from files.pods.common.mountinfo import find_mount, mount_table
from files.pods.common.run_command import run_command

HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of programs that run as the host user."""


def mount_of(path: str) -> tuple[str, str]:
    """Return mount point and file system type of the mount that holds a path."""
    mount = find_mount(path, mount_table())
    return (mount.point, mount.type) if mount else ("/", "rootfs")


def on_network(path: str) -> bool:
    """Return whether a path lies on NFS, where the server decides who owns a file.

    Other network file systems have the ids of this machine: root creates and chowns a project root there as on a disk.
    """
    return mount_of(path)[1].startswith("nfs")


def sync_file_system(path: str) -> None:
    """Write a file system's cached data to disk, so that later writes reach the disk later (syncfs(2))."""
    subprocess.run(["sync", "--file-system", path], stdin=subprocess.DEVNULL, check=True, timeout=600)


def discard_write_errors(path: str) -> None:
    """Sync a file system and ignore the errors of earlier writes (syncfs(2)).

    The next sync would report them: a service leaves some when its server has just begun to squash.
    """
    run_command(["sync", "--file-system", path], timeout=600)


def run_with_deadline(seconds: int, path: str) -> None:
    """Continue in a child process, and kill it after `seconds`. A dead server blocks every access to its mount.

    The parent exits with the child's status, and never returns. `path` only names the file system in the message.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        exited, status = os.waitpid(child, os.WNOHANG)
        if exited:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    print(
        f"{path} did not answer within {seconds} s: check its file server, then run again", file=sys.stderr, flush=True
    )
    os._exit(1)


def become_user(user: str, uid: int, gid: int) -> None:
    """Drop privileges to the host user, with its home, its groups and a minimal environment.

    Works by number for a user that does not exist yet.
    """
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
    os.environ.update(HOME=home, USER=user, LOGNAME=user, PATH=HOST_PATH, LC_ALL="C.UTF-8")
    os.environ.update(CI="true", NANOCLAW_NO_DIAGNOSTICS="1", GIT_TERMINAL_PROMPT="0")
    os.chdir("/")
