"""The mount table as the kernel shows it (proc(5), mountinfo): for programs that import it. Reading it never hangs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Mounted(NamedTuple):
    """One line of the table."""

    point: str
    root: str
    """The directory of the file system that is mounted."""
    type: str
    source: str
    options: list[str]
    """Those of the mount."""
    more: list[str]
    """Those of its file system."""


def mount_table() -> list[Mounted]:
    """Every mount that this process sees; of several at one point the covering one comes last."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        return [_entry(line.rstrip("\n")) for line in table]


def _entry(line: str) -> Mounted:
    before, _, after = line.partition(" - ")
    left, right = before.split(" "), after.split(" ", 2)
    root, point, kind, source = (unescaped(field) for field in (*left[3:5], *right[:2]))
    return Mounted(point, root, kind, source, options_in(left[5]), options_in(right[2]))


def options_in(text: str) -> list[str]:
    """The options of a list; one in quotes, such as an SELinux context, may hold commas."""
    return re.findall(r'(?:"[^"]*"|[^,])+', text)


def unescaped(field: str) -> str:
    """A field without the octal escapes of blanks and backslashes, in this table as in fstab(5)."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def under(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def carrier(path: str, table: Iterable[Mounted]) -> Mounted | None:
    """The mount that a path lies on: the deepest mount point, the last mount at it."""
    found = None
    for mount in table:
        if under(mount.point, path) and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


DISKS = """
adfs affs apfs aufs bcachefs befs bfs btrfs cramfs efs erofs exfat ext2 ext3 ext4 f2fs fuseblk hfs hfsplus hpfs iso9660
jffs2 jfs minix msdos nilfs2 ntfs ntfs3 omfs qnx4 qnx6 reiserfs romfs squashfs sysv ubifs udf ufs vfat xfs zfs zonefs
"""
MEMORY = """
bpf binder binfmt_misc cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs ecryptfs efivarfs fusectl hostfs hugetlbfs
mqueue nfsd nsfs overlay proc pstore ramfs resctrl rootfs rpc_pipefs securityfs selinuxfs shiftfs smackfs sysfs tmpfs
tracefs
"""
LOCAL = frozenset((DISKS + MEMORY).split())
"""Types of file systems (proc(5), filesystems) that answer without a server. Every other one may wait for one: nfs,
cifs, ceph, 9p, lustre, gfs2, what a process serves (fuse.sshfs), automounts, and types that nobody has heard of yet."""


def is_remote(kind: str) -> bool:
    """Whether a file system of this type may wait for a server, and hang whoever looks there."""
    return kind not in LOCAL


def may_hang(path: str, table: Iterable[Mounted]) -> bool:
    """Whether a path lies on a network mount, or on an automount: a server that is gone hangs who looks there."""
    mount = carrier(path, table)
    return mount is not None and is_remote(mount.type)
