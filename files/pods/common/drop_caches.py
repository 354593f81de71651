"""Inode and permission caches of the kernel."""

from __future__ import annotations

from files.pods.common.run_command import run_command


def drop_inodes(seconds: int) -> None:
    """Drop cached inodes, so that an NFS client asks its server again (proc(5), drop_caches).

    The client keeps a refused permission until the inode's ctime changes, whatever the server would answer now.
    """
    run_command(["sysctl", "-q", "-w", "vm.drop_caches=2"], timeout=seconds, check=True)
