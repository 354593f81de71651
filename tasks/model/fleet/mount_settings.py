"""The operator's mount options, judged before any mount: each by name and by type of value (nfs(5), mount(8)).

What breaks the role is refused with the reason. An option that the role does not know belongs in
pods_mount_options_unchecked, where only those that break the role are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tasks.model.fleet.addresses import usable_address
from tasks.model.problem import SettingProblem, SettingProblems

if TYPE_CHECKING:
    from tasks.model.fleet.settings import HostSettings

_REFUSED = {
    r"vers|nfsvers|minorversion|v[234][0-9.]*": "set pods_nfs_version",
    r"proto|udp6?|tcp6?|rdma": "the role mounts over tcp",
    r"soft|softerr|softreval": "a soft mount loses writes silently (nfs(5)); the role sets hard",
    r"suid": "an agent could plant a program that runs as root",
    r"dev": "an agent could plant a device",
    r"hard|nosuid|nodev|rw|_netdev|auto|fg|defaults": "the role sets such options itself",
    r"nolock|local_lock": "SQLite needs the server's locks",
    r"bg|nofail|noauto": "the service would start before the mount is there",
    r"users?|nouser|owner|group": "only root mounts the pods",
    r"bind|rbind|remount|move|loop|offset|sizelimit": "the role decides what is mounted",
    r"r?(shared|private|slave|unbindable)": "the role binds directories of the mount into the project root",
    r"ro": "agents write",
    r"nosymfollow": "NanoClaw and pnpm keep links on the pods",
    r"sec|xprtsec": "the export is sec=sys",
    r"mounthost|mountaddr|addr": "the mount comes from the server of pods_server and from no other",
    r"X-mount\..*|x-mount\..*|X-.*|x-.*|comment": "the role's mount unit tells systemd how to treat the mount",
    r"uid|gid|umask|fmask|dmask|idmap": "the server decides who owns files",
}
_FLAGS = frozenset(
    (
        *("sync", "async", "dirsync", "exec", "noexec", "atime", "noatime", "diratime", "nodiratime", "relatime"),
        *("norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "ac", "noac", "cto"),
        *("nocto", "lock", "acl", "noacl", "rdirplus", "nordirplus", "sharecache", "nosharecache", "resvport"),
        *("noresvport", "nosoftreval", "fsc", "nofsc", "migration", "nomigration", "intr", "nointr"),
        *("trunkdiscovery", "notrunkdiscovery", "posix", "noposix", "iversion", "noiversion"),
    )
)
_NUMBERS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("acregmin", "acregmax", "acdirmin", "acdirmax", "actimeo"), (0, 86_400)),
    **dict.fromkeys(("rsize", "wsize"), (1024, 1 << 20)),
    **dict.fromkeys(("nconnect", "max_connect"), (1, 16)),
    **{"timeo": (1, 36_000), "retrans": (0, 1000), "retry": (0, 100_000), "bsize": (1024, 1 << 20)},
    **{"namlen": (1, 255), "port": (1, 65_535), "mountport": (1, 65_535), "mountvers": (3, 3)},
}
_VALUES = {
    "lookupcache": ("all", "none", "pos", "positive"),
    "fsc": (),
    "rdirplus": ("none", "force"),
    "write": ("lazy", "eager", "wait"),
    "mountproto": ("tcp", "tcp6", "udp", "udp6"),
}
CONTEXTS = frozenset({"context", "fscontext", "defcontext", "rootcontext"})
"""SELinux contexts (mount(8)); a value that holds a comma is quoted."""
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+(:[A-Za-z0-9_.,:-]+)?")
_V3_ONLY = frozenset({"mountport", "mountproto", "mountvers", "namlen"})

LENGTH = 1024
"""Characters of all options together: the kernel takes one page for them and what the role adds (mount(2))."""


def mount_option_problems(settings: HostSettings) -> SettingProblems:
    """What is wrong with the options of a host by themselves."""
    for key, unchecked in (("pods_mount_options", False), ("pods_mount_options_unchecked", True)):
        options: list[str] = getattr(settings, key)
        if sum(len(option) + 1 for option in options) > LENGTH:
            text = f"is too long: the kernel takes one page of mount options; use at most {LENGTH} characters"
            yield SettingProblem(key, "mount-options-too-long", text)
        for option in options:
            if why := refusal(option):
                yield SettingProblem(key, "mount-option-refused", f"{option!r} is refused: {why}; leave it out")
            elif wrong := _wrong_value(option):
                yield SettingProblem(key, "mount-option-value", f"{option!r} is refused: {wrong}; leave it out")
            elif not unchecked and not _known(option):
                text = "no option of nfs(5) that the role knows; correct it, or name it in pods_mount_options_unchecked"
                yield SettingProblem(key, "mount-option-unknown", f"{option!r} is refused: {text}")
    if "noexec" in (*settings.pods_mount_options, *settings.pods_mount_options_unchecked):
        root, pods = settings.nanoclaw_root, settings.pods_path
        if f"{root}/".startswith(f"{pods}/"):
            text = f"nanoclaw_root {root} is on the pods, and its programs run from there; leave it out"
            yield SettingProblem("pods_mount_options", "noexec-on-pods", f"'noexec' is refused: {text}")


def refusal(option: str) -> str | None:
    """Why an option is refused whatever its value, or None."""
    name = option.partition("=")[0]
    return next((why for names, why in _REFUSED.items() if re.fullmatch(names, name)), None)


def of_managed_server(option: str) -> str | None:
    """Why an option breaks the mount of a server that the role manages, or None."""
    name = option.partition("=")[0]
    if name in ("port", "mountport", "mountproto", "mountvers"):
        return "the server of the role serves NFS on port 2049"
    if name == "noresvport":
        return "the role exports with secure, which refuses ports above 1023"
    return None


def of_version(option: str, version: str) -> str | None:
    """Why an option has no meaning in a version of NFS, or None."""
    name = option.partition("=")[0]
    if version != "3" and name in _V3_ONLY:
        return f"NFSv{version} has no MOUNT protocol and no such option (nfs(5))"
    if name == "clientaddr" and version != "4.0":
        return f"only NFSv4.0 calls back to an address (nfs(5)); this is {version}"
    return None


def _known(option: str) -> bool:
    name = option.partition("=")[0]
    return name in _FLAGS or name in _NUMBERS or name in _VALUES or name in CONTEXTS or name == "clientaddr"


def _wrong_value(option: str) -> str | None:
    """What a known option expects, where that is something else; None for one that is right or not known."""
    name, equals, value = option.partition("=")
    if name in CONTEXTS:
        return None if _CONTEXT.fullmatch(value) else "expects a context, such as system_u:object_r:nfs_t:s0"
    if name in _NUMBERS:
        low, high = _NUMBERS[name]
        right = re.fullmatch(r"0|[1-9][0-9]{0,8}", value) and low <= int(value) <= high
        if right and name in ("rsize", "wsize", "bsize") and int(value) % 1024:
            right = False
        unit = ", a multiple of 1024" if name in ("rsize", "wsize", "bsize") else ""
        return None if right else f"expects a whole number from {low} to {high}{unit}"
    if name in _VALUES and (equals or name not in _FLAGS):
        values = _VALUES[name]
        if name == "fsc":
            return None if re.fullmatch(r"[A-Za-z0-9._-]+", value) else "expects no value, or the tag of a cache"
        return None if value in values else f"expects one of {', '.join(values)}"
    if name == "clientaddr":
        return None if usable_address(value) else "expects an IP address of this host"
    if name in _FLAGS and equals:
        return "takes no value"
    return None
