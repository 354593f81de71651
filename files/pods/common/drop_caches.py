"""What the kernel remembers of files: for programs that import it."""

from __future__ import annotations

import subprocess


def drop_inodes(seconds: int) -> None:
    """Has an NFS client ask its server again (proc(5), drop_caches).

    It keeps a permission that it was refused for as long as the inode's ctime stays, whatever the server would say now.
    """
    subprocess.run(["sysctl", "-q", "-w", "vm.drop_caches=2"], check=True, capture_output=True, timeout=seconds)
