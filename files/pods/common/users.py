"""Users of this machine, and what the kernel lets them write."""

from __future__ import annotations

import os
import pwd
from functools import cache

from files.pods.common.run_as_ids import run_as


def passwd_entry(uid: int | None) -> pwd.struct_passwd | None:
    """Return the passwd entry of a uid, or None."""
    try:
        return pwd.getpwuid(uid) if uid is not None else None
    except KeyError:
        return None


def home_of(uid: int | None) -> str | None:
    """Return the home directory of a uid, or None."""
    entry = passwd_entry(uid)
    return entry.pw_dir if entry else None


@cache
def may_write(uid: int, root: str) -> bool:
    """Return whether a user may write the root's databases: access(2) as that user. Unknown counts as yes."""
    entry = passwd_entry(uid)
    if uid == 0:
        return True

    def can_write() -> bool:
        paths = [f"{root}/{name}" for name in ("store/messages.db", "store", "data/v2.db", "data")]
        return any(os.access(place, os.W_OK, effective_ids=True) for place in (*paths, root))

    groups = os.getgrouplist(entry.pw_name, entry.pw_gid) if entry else []
    reply = run_as((uid, entry.pw_gid if entry else uid), 10, can_write, groups=groups)
    return reply.get("value", True) is not False  # what cannot be known may be


def uid_of(user: str) -> int | None:
    """Return the uid of a user given by name or number, or None."""
    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
