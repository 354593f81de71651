"""What a probe stands on: mounts, space, ids, Docker. For programs that import it."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from files.pods.common.drop_caches import drop_inodes
from files.pods.common.mountinfo import find_mount, mount_table


def mark(path: str) -> list[float] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return [found.st_ino, found.st_mtime, found.st_size]


def space_of(path: str) -> dict[str, int]:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    info = os.statvfs(path)
    return {"bytes": info.f_bavail * info.f_frsize, "inodes": info.f_favail if info.f_files else 1}


def mount_of(path: str) -> dict[str, Any]:
    """The mount that a path lies on, from the table alone."""
    found = find_mount(path, mount_table())
    if found is None:
        return {"point": "", "type": "", "source": "", "options": []}
    words = sorted({*found.options, *found.more})
    return {"point": found.point, "type": found.type, "source": found.source, "options": words}


def id_mapping() -> bool | None:
    """Whether NFSv4 maps ids by name on this machine (nfs(5), nfs4_disable_idmapping); None without the module."""
    try:
        with open("/sys/module/nfs/parameters/nfs4_disable_idmapping", encoding="ascii") as file:
            return file.read().strip() == "N"
    except OSError:
        return None


def drop_permissions(seconds: int) -> bool:
    """Whether the kernel forgot in time what an NFS server had refused."""
    try:
        drop_inodes(seconds)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def unit_property(unit: str, about: str) -> str:
    """What systemd knows of a unit (systemctl(1), show); empty where it does not say."""
    words = ["systemctl", "show", f"--property={about}", "--value", unit]
    return subprocess.run(words, capture_output=True, text=True, timeout=40, check=False).stdout.strip()
