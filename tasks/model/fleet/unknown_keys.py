"""Keys of host data and groups of a machine that the role does not know: former names and misspelt ones."""

from collections.abc import Iterator

from tasks.model.fleet.near_names import near, same, skeleton
from tasks.model.fleet.plan import HOSTS, SERVERS, Machine, Problem
from tasks.model.fleet.settings import SETTINGS
from tasks.model.fleet.show_value import key_shown

PREFIXES = ("nfs_", "pods_", "nanoclaw_")
"""Every setting of the role begins with one of these; such a key that is not known is a mistake."""

RENAMED = {
    "nanoclaw_v1_gate": "nanoclaw_gate",
    "nanoclaw_v1_canary": "nanoclaw_canary",
    "nanoclaw_v1_batch": "nanoclaw_batch",
}
"""Former names of settings, and what each is called now."""

_OF_OTHERS = frozenset(
    f"{service}servers"
    for service in ("afs", "cfs", "dfs", "dns", "efs", "fs", "gfs", "nas", "nds", "nis", "ns", "nss", "ofs", "zfs")
)
"""Groups of other services that are as near to nfs_servers as a slip of the finger."""


def unknown_keys(machine: Machine) -> Iterator[Problem]:
    """Refuse keys of the role that are no setting, each with the setting that is meant."""
    for key in machine.data:
        if key in SETTINGS:
            continue
        if not isinstance(key, str):
            text = f"is {type(key).__name__} and no text, so it is no setting; write the key in quotes"
            yield Problem(machine.name, key_shown(key), text, "key-no-text")
            continue
        if key in RENAMED:
            text = (
                f"is called {RENAMED[key]} now, since it serves every change of version; rename it, and keep its value"
            )
            yield Problem(machine.name, key, text, "key-renamed")
            continue
        prefix = next((prefix for prefix in PREFIXES if _begins(key, prefix)), None)
        close = near(key, tuple(SETTINGS), 0.8 if prefix else 0.88)
        if close:
            yield Problem(machine.name, key_shown(key), f"is no setting; did you mean {close}?", "key-misspelt")
        elif prefix:
            known = ", ".join(sorted(name for name in SETTINGS if name.startswith(prefix)))
            text = f"is no setting; those that begin with {prefix} are {known}"
            yield Problem(machine.name, key_shown(key), text, "key-unknown")


def _begins(key: str, prefix: str) -> bool:
    """Whether a key begins with a prefix of the role's, as the eye sees it, and a separator of some kind."""
    bare = "".join(skeleton(c) or "_" for c in key[:80]).lstrip("_")
    return bare.startswith(prefix)


def misspelt_groups(machine: Machine) -> Iterator[Problem]:
    """Refuse groups that are almost called as one of the role."""
    for group in machine.groups:
        for role in (SERVERS, HOSTS):
            if role in machine.groups or group in (SERVERS, HOSTS):
                continue
            if same(group, role) or (near(group, (role,), 0.9) and skeleton(group) not in _OF_OTHERS):
                text = f"{key_shown(group)} is no group of the role; did you mean {role}?"
                yield Problem(machine.name, "groups", text, "group-misspelt")
