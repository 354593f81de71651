"""Accounts of a machine: the host user, ids that are free, and who can log in."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from typing import Any

from files.pods.common.mountinfo import may_hang, mount_table
from files.pods.common.read_text import read_text_or_none
from files.pods.common.run_command import run_command
from files.pods.machine.machine_state import IdState
from files.pods.machine.protocol import AccountState

KEYS = (".ssh/authorized_keys", ".ssh/authorized_keys2")
LONGEST_KEYS = 1 << 20
LOGIN_SECONDS = 10


def account(user: str, uid: int, gid: int) -> AccountState:
    """Return the account of the host user. A home on a network file system counts as there."""
    entry, docker = by(pwd.getpwnam, user), by(grp.getgrnam, "docker")
    owner, group, namesake = by(pwd.getpwuid, uid), by(grp.getgrgid, gid), by(grp.getgrnam, user)
    return AccountState(
        ids=(entry.pw_uid, entry.pw_gid) if entry else None,
        home=entry.pw_dir if entry else None,
        home_exists=bool(entry) and (may_hang(entry.pw_dir, mount_table()) or os.path.isdir(entry.pw_dir)),
        uid_user=owner.pw_name if owner else None,
        gid_group=group.gr_name if group else None,
        name_gid=namesake.gr_gid if namesake else None,
        docker_group=docker is not None,
        in_docker=bool(entry and docker) and docker.gr_gid in os.getgrouplist(user, entry.pw_gid),
    )


def is_person(user: str) -> bool:
    """Return whether somebody can log in to an account, root aside."""
    entry = by(pwd.getpwnam, user) if user != "root" else None
    return entry is not None and can_log_in(entry)


def person(uid: int) -> str | None:
    """Return the account with a uid that somebody can log in to; of several, the first."""
    try:
        accounts = [pwd.getpwuid(uid)]
    except KeyError:
        return None
    accounts += [entry for entry in pwd.getpwall() if entry.pw_uid == uid and entry.pw_name != accounts[0].pw_name]
    return next((str(entry.pw_name) for entry in accounts if can_log_in(entry)), None)


def can_log_in(entry: Any) -> bool:
    """Return whether an account has a login shell, and a password or a key. Unknown counts as yes.

    An account of a directory service (sss, ldap, winbind, homed) has its password there.
    """
    if os.path.basename(entry.pw_shell) in ("nologin", "false"):
        return False
    password = password_of(entry)
    if password is None or not password.startswith(("!", "*")):
        return True
    return any(may_hold_a_key(entry, path) for path in key_files(entry))


def password_of(entry: Any) -> str | None:
    """Return the account's password field (shadow(5)): of the machine's files, else of NSS; None if unknown."""
    if (field := field_of("/etc/shadow", entry.pw_name)) is not None:
        return field
    if field_of("/etc/passwd", entry.pw_name) is None:
        return None
    if entry.pw_passwd not in ("x", "*", "!"):
        return str(entry.pw_passwd)
    status, shown = ran("getent", "shadow", entry.pw_name)
    if status == 0 and ":" in shown:
        return shown.strip().split(":")[1]
    return "!" if status == 2 and os.path.exists("/etc/shadow") else None


def field_of(path: str, name: str) -> str | None:
    """Return the second field of an account's line in a file such as passwd(5)."""
    lines = (line.split(":") for line in (read_text_or_none(path) or "").splitlines())
    return next((fields[1] for fields in lines if len(fields) > 2 and fields[0] == name), None)


def key_files(entry: Any) -> list[str]:
    """Return the files in which sshd looks for an account's keys (sshd_config(5), AuthorizedKeysFile)."""
    sshd = shutil.which("sshd", path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin")
    connection = f"user={entry.pw_name},host=localhost,addr=127.0.0.1"
    status, shown = ran(sshd, "-T", "-C", connection) if sshd else (1, "")
    lines = [line.split() for line in shown.splitlines() if line.startswith("authorizedkeysfile ")]
    named = lines[0][1:] if status == 0 and lines else list(KEYS)
    tokens = {"%h": entry.pw_dir, "%u": entry.pw_name, "%U": str(entry.pw_uid)}
    paths = []
    for path in named:
        for token, value in tokens.items():
            path = path.replace(token, value)
        paths.append(os.path.join(entry.pw_dir, path.replace("%%", "%")))
    return [path for path in paths if os.path.basename(path) != "none"]


def may_hold_a_key(entry: Any, path: str) -> bool:
    """Return whether a file may hold a key. On a network file system a child with the account's ids looks, in time."""
    if may_hang(path, mount_table()) or may_hang(entry.pw_dir, mount_table()):
        who: dict[str, Any] = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        status, _shown = ran("test", "-s", path, **(who if os.geteuid() == 0 else {}))
        return status != 1
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return bool(file.read(LONGEST_KEYS).strip())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError:
        return True


def ran(*args: str, **who: Any) -> tuple[int | None, str]:
    """Exit status and output of a command; no status where it cannot be run, or does not end in time."""
    try:
        done = run_command(args, timeout=LOGIN_SECONDS, cwd="/", **who)
    except (OSError, subprocess.SubprocessError):
        return None, ""
    return done.returncode, done.stdout


def by(lookup: Any, key: Any) -> Any:
    """Call a lookup of passwd or group; return None if there is no entry."""
    try:
        return lookup(key)
    except KeyError:
        return None


def ids_state(numbers: list[int], user: str | None, enough: int = 8) -> list[IdState]:
    """Return who has each number as uid and as gid, until enough are free.

    A lookup for each number, since a directory service need not list its users.
    """
    states: list[IdState] = []
    free = 0
    for number in numbers:
        owner, group = by(pwd.getpwuid, number), by(grp.getgrgid, number)
        state = IdState(
            number,
            user=owner.pw_name if owner else None,
            group=group.gr_name if group else None,
            person=person(number) if owner else None,
        )
        states.append(state)
        free += owner is None and state.group in (None, user)
        if free >= enough:
            break
    return states
