"""Users of this machine, and what they may do: for programs that import it."""

from __future__ import annotations

import os
import pwd
from functools import cache

from files.pods.common.run_as_ids import acting


def account_with(uid: int | None) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(uid) if uid is not None else None
    except KeyError:
        return None


def home_with(uid: int | None) -> str | None:
    entry = account_with(uid)
    return entry.pw_dir if entry else None


@cache
def may_write(uid: int, root: str) -> bool:
    """Whether a user may write the root's databases, as the kernel says it of a process with that user's groups."""
    entry = account_with(uid)
    if uid == 0:
        return True

    def tried() -> bool:
        places = [f"{root}/{name}" for name in ("store/messages.db", "store", "data/v2.db", "data")]
        return any(os.access(place, os.W_OK, effective_ids=True) for place in (*places, root))

    groups = os.getgrouplist(entry.pw_name, entry.pw_gid) if entry else []
    answer = acting((uid, entry.pw_gid if entry else uid), 10, tried, groups=groups)
    return answer.get("value", True) is not False  # what cannot be known may be


def uid_of(user: str) -> int | None:
    try:
        return int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
