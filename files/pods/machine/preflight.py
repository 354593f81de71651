"""Facts about a machine before any change. Changes nothing and never accesses an NFS mount."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import replace

from files.pods.common.mountinfo import Mount, may_hang, mount_table
from files.pods.common.protocol import print_reply, read_request
from files.pods.common.read_text import read_text_or_none
from files.pods.common.session_driver import SESSION_DRIVER
from files.pods.machine.account import account, ids_state, is_person, person
from files.pods.machine.machine_state import MachineState, MountPoint
from files.pods.machine.path_states import barred_paths, machine_addresses, machine_identity, read_places, real_path
from files.pods.machine.protocol import PreflightRequest

request = read_request(PreflightRequest)


def shown(mount: Mount) -> MountPoint:
    """Return a mount as the reply describes it."""
    addresses = [option[len("addr=") :] for option in mount.more if option.startswith("addr=")]
    return MountPoint(mount.point, mount.type, mount.source, addresses)


def os_release() -> dict[str, str]:
    """Return the values of os-release(5)."""
    text = read_text_or_none("/etc/os-release") or read_text_or_none("/usr/lib/os-release") or ""
    pairs = (line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, value in pairs}


def protected_hardlinks() -> int | None:
    """Return the kernel's protection of hard links (proc_sys_fs(5)); None if it has none."""
    text = (read_text_or_none("/proc/sys/fs/protected_hardlinks") or "").strip()
    return int(text) if text.isdecimal() else None


def beneath(path: str, mounted: list[Mount]) -> list[str] | None:
    """Return the first names in a mount point without a mount; None if it has one or is missing."""
    if any(mount.point == path for mount in mounted) or may_hang(path, mounted):
        return None
    try:
        return sorted(os.listdir(path))[:5]
    except OSError:
        return None


def free(path: str, mounted: list[Mount]) -> int | None:
    """Return free bytes of the file system that holds a path; None if it may block."""
    while True:
        if may_hang(path, mounted):
            return None
        if os.path.isdir(path):
            break
        path = os.path.dirname(path)
    info = os.statvfs(path)
    return info.f_bavail * info.f_frsize


def has_driver(root: str, mounted: list[Mount]) -> bool | None:
    """Whether a checkout starts agents by a session driver; None if there is none, or it may block."""
    package, driver = (real_path(f"{root}/{name}", mounted) for name in ("package.json", SESSION_DRIVER))
    if package is None or driver is None or not os.path.isfile(package):
        return None
    return os.path.isfile(driver)


mounted = mount_table()
places, user = request.places, request.account
release = os_release()
print_reply(
    MachineState(
        uid=os.geteuid(),
        python=sys.version_info[:2],
        distribution=release.get("ID", ""),
        version=release.get("VERSION_ID", ""),
        hostname=socket.gethostname(),
        protected_hardlinks=protected_hardlinks(),
        systemd=os.path.isdir("/run/systemd/system"),
        mounts=[shown(mount) for mount in mounted if mount.point in request.paths],
        beneath={path: beneath(path, mounted) for path in request.paths},
        account=replace(account(**vars(user)), person=is_person(user.user)) if user else None,
        person=person(request.agent) if request.agent is not None else None,
        ids=ids_state(list(request.ids), request.user),
        driver=has_driver(request.root, mounted) if request.root else None,
        free={path: free(path, mounted) for path in request.space},
        identity=machine_identity(),
        addresses=machine_addresses(),
        places=read_places(places.paths, places.marks, mounted),
        barred=barred_paths(places.enter, **vars(user), table=mounted) if user and os.geteuid() == 0 else {},
    )
)
