"""Inode and permission caches of the kernel."""

from __future__ import annotations

import subprocess


def drop_inodes(seconds: int) -> None:
    """Drop cached inodes, so that an NFS client asks its server again (proc(5), drop_caches).

    The client keeps a refused permission until the inode's ctime changes, whatever the server would answer now.
    """
    subprocess.run(
        ["sysctl", "-q", "-w", "vm.drop_caches=2"],
        stdin=subprocess.DEVNULL,
        check=True,
        capture_output=True,
        timeout=seconds,
    )
