"""Facts that a probe needs: mounts, space, id mapping, units."""

from __future__ import annotations

import os
import subprocess

from files.pods.common.drop_caches import drop_inodes
from files.pods.common.mountinfo import find_mount, mount_table
from files.pods.common.run_command import run_command
from files.pods.probe import timeouts
from files.pods.probe.protocol import ProbedMount


def fingerprint(path: str) -> list[float] | None:
    """Return inode, time and size of a file; None if it is gone."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return [info.st_ino, info.st_mtime, info.st_size]


def space_of(path: str) -> dict[str, int]:
    """Return free bytes and inodes of the file system that holds a path."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    info = os.statvfs(path)
    return {"bytes": info.f_bavail * info.f_frsize, "inodes": info.f_favail if info.f_files else 1}


def mount_of(path: str) -> ProbedMount:
    """Return the mount that holds a path, from mountinfo alone."""
    mount = find_mount(path, mount_table())
    if mount is None:
        return ProbedMount("", "", "", [])
    return ProbedMount(mount.point, mount.type, mount.source, sorted({*mount.options, *mount.more}))


def id_mapping() -> bool | None:
    """Return whether NFSv4 maps ids by name here (nfs(5), nfs4_disable_idmapping); None without the module."""
    try:
        with open("/sys/module/nfs/parameters/nfs4_disable_idmapping", encoding="ascii") as file:
            return file.read().strip() == "N"
    except OSError:
        return None


def drop_permissions() -> bool:
    """Drop the permissions that the kernel has cached; return whether that succeeded in time."""
    try:
        drop_inodes(timeouts.STEP)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def unit_property(unit: str, name: str) -> str:
    """Return a property of a unit (systemctl(1), show), or an empty string."""
    argv = ["systemctl", "show", f"--property={name}", "--value", unit]
    return run_command(argv, timeout=timeouts.STEP).stdout.strip()
