"""Mount options as the kernel shows them, against those that are wanted.

Both sides become one normal form, a mapping with every default spelled out, so that an option that is on and not
wanted any more differs as well as one that is missing. What only mount(8) and mount.nfs(8) read (_netdev, bg,
retry, x-…) has no place in it. An option that the role does not know is compared only where the kernel shows it:
a difference that no mount can remove must not interrupt agents at every run.

Sources: nfs(5); the kernel's nfs_show_mount_options (fs/nfs/super.c).
"""

from collections.abc import Iterable, Mapping, Sequence

Options = Mapping[str, str]

REMOUNTABLE = frozenset({"access", "nosuid", "nodev", "noexec", "noatime", "nodiratime"})
"""What `mount -o remount` really changes on NFS. It refuses the rest, or answers 0 and ignores it (nconnect,
proto, sec)."""

MOUNT_FLAGS = REMOUNTABLE - {"access"} | {"ro"}
"""Options of a mount itself, so that each bind has its own."""

_AC = {"acregmin": "3", "acregmax": "60", "acdirmin": "30", "acdirmax": "60"}
_FLAGS = (
    *("nosuid", "nodev", "noexec", "noatime", "nodiratime", "sync", "noac", "nocto", "nolock", "noacl"),
    *("nordirplus", "nosharecache", "noresvport", "softreval", "fsc", "migration"),
)
_DEFAULTS: dict[str, str] = {
    **dict.fromkeys(_FLAGS, "off"),
    **_AC,
    **{"access": "rw", "errors": "hard", "lookupcache": "all", "nconnect": "1", "max_connect": "1"},
    **{"sec": "sys", "local_lock": "none"},
}
_OPPOSITES = {
    **{"suid": "nosuid", "dev": "nodev", "exec": "noexec", "atime": "noatime", "diratime": "nodiratime"},
    **{"relatime": "noatime", "async": "sync", "ac": "noac", "cto": "nocto", "lock": "nolock", "acl": "noacl"},
    **{"rdirplus": "nordirplus", "sharecache": "nosharecache", "resvport": "noresvport"},
    **{"nosoftreval": "softreval", "nofsc": "fsc", "nomigration": "migration"},
}
_USERSPACE = frozenset(
    (
        *("_netdev", "auto", "noauto", "nofail", "defaults", "user", "nouser", "users", "owner", "group", "bg", "fg"),
        *("retry", "comment", "port", "mountport", "mountproto", "mountvers", "mounthost", "mountaddr", "addr"),
        "clientaddr",
    )
)
_SIZES = ("rsize", "wsize")
"""Sizes are negotiated: a smaller live one is what the server allows and no difference; a larger one is."""


def normal(options: Iterable[str]) -> dict[str, str]:
    """The normal form of options, whoever wrote them: the kernel, or an operator."""
    form = dict(_DEFAULTS)
    for option in options:
        name, _, value = option.replace('"', "").partition("=")
        if name in ("ro", "rw"):
            form["access"] = name if form["access"] == "rw" else "ro"
        elif name in ("hard", "soft", "softerr"):
            form["errors"] = name
        elif name in ("vers", "nfsvers"):
            form["vers"] = "4.0" if value == "4" else value
        elif name == "actimeo":
            form.update(dict.fromkeys(_AC, value))
        elif name == "lookupcache":
            form[name] = "positive" if value == "pos" else value
        elif name in _OPPOSITES:
            form[_OPPOSITES[name]] = "off"
        elif name in _FLAGS:
            form[name] = "on"
        elif name not in _USERSPACE and not name.startswith("x-"):
            form[name] = value or "on"
    if form["noac"] == "on":
        # noac means no attribute caching and synchronous writes: the kernel shows both beside it.
        form |= dict.fromkeys(_AC, "0") | {"sync": "on"}
    return form


def differences(desired: Sequence[str], live: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What differs, as name to (live, desired). Empty: nothing differs."""
    want, have = normal(desired), normal(live)
    if want.get("vers", "").startswith("4"):
        want.pop("noacl")  # NFSv4 has no side protocol for ACLs: the kernel drops the option.
    differing: dict[str, tuple[str, str]] = {}
    for name, value in want.items():
        shown = have.get(name)
        if shown is None or shown == value:
            continue
        if name in _SIZES and shown.isdigit() and value.isdigit() and int(shown) <= max(int(value), 4096):
            continue
        differing[name] = (shown, value)
    return differing


def by_remount(differing: Iterable[str]) -> bool:
    """Whether a remount can change all of these names."""
    return all(name in REMOUNTABLE for name in differing)


def sentence(differing: Mapping[str, tuple[str, str]]) -> str:
    """The differences in words."""
    return ", ".join(f"{name} is {live} and should be {want}" for name, (live, want) in sorted(differing.items()))


def without_sizes(options: Iterable[str]) -> list[str]:
    """The options for a remount, which must not repeat a size: the negotiated one may differ and be refused."""
    skip = {*_SIZES, *_USERSPACE}
    return [option for option in options if option.partition("=")[0] not in skip]
