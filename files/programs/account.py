"""The host user as a machine knows it, and what stands in its way: for programs that import it."""

from __future__ import annotations

import grp
import os
import pwd
from typing import Any

from files.programs.mount_table import may_hang, mount_table
from files.programs.reading import read


def account(user: str, uid: int, gid: int) -> dict[str, Any]:
    """tasks.model.runtime.AccountState as JSON. A home that a server has counts as there."""
    entry, docker = by(pwd.getpwnam, user), by(grp.getgrnam, "docker")
    owner, group, namesake = by(pwd.getpwuid, uid), by(grp.getgrgid, gid), by(grp.getgrnam, user)
    return {
        "ids": [entry.pw_uid, entry.pw_gid] if entry else None,
        "home": entry.pw_dir if entry else None,
        "home_exists": bool(entry) and (may_hang(entry.pw_dir, mount_table()) or os.path.isdir(entry.pw_dir)),
        "uid_user": owner.pw_name if owner else None,
        "gid_group": group.gr_name if group else None,
        "name_gid": namesake.gr_gid if namesake else None,
        "docker_group": docker is not None,
        "in_docker": bool(entry and docker) and docker.gr_gid in os.getgrouplist(user, entry.pw_gid),
    }


def person(uid: int) -> str | None:
    """The account with a uid that somebody can log in to: with a password (shadow(5)) or a key (sshd(8))."""
    entry = by(pwd.getpwuid, uid)
    if entry is None or entry.pw_shell.endswith(("/nologin", "/false")):
        return None
    secrets = [line.split(":") for line in (read("/etc/shadow") or "").splitlines()]
    password = next((words[1] for words in secrets if words[0] == entry.pw_name), "*")
    keys = f"{entry.pw_dir}/.ssh/authorized_keys"
    reachable = not may_hang(entry.pw_dir, mount_table())
    has_key = reachable and bool((read(keys) or "").strip())
    return str(entry.pw_name) if has_key or not password.startswith(("!", "*")) else None


def by(lookup: Any, key: Any) -> Any:
    try:
        return lookup(key)
    except KeyError:
        return None
