"""The mount table of this process (proc(5), mountinfo). Reading it never waits for a server."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Mount(NamedTuple):
    """One line of mountinfo."""

    point: str
    root: str
    """The directory of the file system that is mounted here."""
    type: str
    source: str
    options: list[str]
    """Options of this mount."""
    more: list[str]
    """Options of the file system (super options)."""


def mount_table() -> list[Mount]:
    """Return every mount that this process sees; the last of several at one mount point covers the others."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        return [_parse_line(line.rstrip("\n")) for line in table]


def _parse_line(line: str) -> Mount:
    of_mount, _, of_file_system = line.partition(" - ")
    left, right = of_mount.split(" "), of_file_system.split(" ", 2)
    root, point, kind, source = (unescape_octal(field) for field in (*left[3:5], *right[:2]))
    return Mount(point, root, kind, source, split_options(left[5]), split_options(right[2]))


def split_options(text: str) -> list[str]:
    """Split a list of mount options; a quoted one, such as an SELinux context, may contain commas."""
    return re.findall(r'(?:"[^"]*"|[^,])+', text)


def unescape_octal(field: str) -> str:
    """Decode the octal escapes of blanks and backslashes in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def is_below(point: str, path: str) -> bool:
    """Return whether a path is the mount point or lies below it."""
    return path == point or path.startswith(point.rstrip("/") + "/")


def find_mount(path: str, table: Iterable[Mount]) -> Mount | None:
    """Return the mount that holds a path: the deepest mount point, and the last mount there."""
    deepest = None
    for mount in table:
        if is_below(mount.point, path) and (deepest is None or len(mount.point) >= len(deepest.point)):
            deepest = mount
    return deepest


DISK_TYPES = """
adfs affs apfs aufs bcachefs befs bfs btrfs cramfs efs erofs exfat ext2 ext3 ext4 f2fs fuseblk hfs hfsplus hpfs iso9660
jffs2 jfs minix msdos nilfs2 ntfs ntfs3 omfs qnx4 qnx6 reiserfs romfs squashfs sysv ubifs udf ufs vfat xfs zfs zonefs
"""
MEMORY_TYPES = """
bpf binder binfmt_misc cgroup cgroup2 configfs cpuset debugfs devpts devtmpfs ecryptfs efivarfs fusectl hostfs hugetlbfs
mqueue nfsd nsfs overlay proc pstore ramfs resctrl rootfs rpc_pipefs securityfs selinuxfs shiftfs smackfs sysfs tmpfs
tracefs
"""
LOCAL_TYPES = frozenset((DISK_TYPES + MEMORY_TYPES).split())
"""File system types (proc(5), filesystems) that never wait for a server.

Every other type may: nfs, cifs, ceph, 9p, lustre, gfs2, FUSE (fuse.sshfs), automounts, and types of the future.
"""


def is_remote(kind: str) -> bool:
    """Return whether a file system of this type may wait for a server, and block its caller."""
    return kind not in LOCAL_TYPES


def may_hang(path: str, table: Iterable[Mount]) -> bool:
    """Return whether a path lies on a network mount or an automount, where access blocks while the server is down."""
    mount = find_mount(path, table)
    return mount is not None and is_remote(mount.type)
