"""State of paths that host data names, and the identity of this machine. Changes nothing."""

from __future__ import annotations

import json
import os
import pwd
import subprocess

from files.pods.common.mountinfo import Mount, may_hang
from files.pods.common.read_text import read_text_or_none
from files.pods.common.run_as_ids import run_as
from files.pods.common.run_command import run_command
from files.pods.machine.machine_state import Place, Places

NAMES_READ, NAMES_SHOWN = 5000, 100
"""Names of a directory: how many are read, and how many of them, sorted, the reply has."""


def read_places(paths: list[str], marks: dict[str, str], table: list[Mount]) -> Places:
    """Return each path with its first names and its real path, and the files that contain a text.

    None for a path on a network mount.
    """
    marked = [file for file, text in marks.items() if text in (read_text_or_none(file) or "")]
    return Places({path: read_place(path, table) for path in paths}, marked)


def read_place(path: str, table: list[Mount]) -> Place | None:
    """Return real path and first names of a directory; None if it may block."""
    real = real_path(path, table)
    if real is None:
        return None
    names: list[str] | None = None
    try:
        with os.scandir(real) as entries:
            read_names = [entry.name for entry, _ in zip(entries, range(NAMES_READ))]  # noqa: B905  Python 3.9
        names = sorted(read_names)[:NAMES_SHOWN]
    except NotADirectoryError:
        names = [os.path.basename(real)]
    except OSError:
        pass
    return Place(real, names)


def real_path(path: str, table: list[Mount]) -> str | None:
    """Return the path without links; None if a part of it lies on a mount that may hang."""
    for _ in range(40):
        place = "/"
        for name in path.split("/")[1:]:
            place = os.path.join(place, name)
            if may_hang(place, table):
                return None
            if os.path.islink(place):
                rest = path[len(place) :]
                path = os.path.normpath(os.path.join(os.path.dirname(place), os.readlink(place)) + rest)
                break
        else:
            return path
    return None


def barred_paths(paths: list[str], user: str, uid: int, gid: int, table: list[Mount]) -> dict[str, str]:
    """Return the first parent of each path that a user cannot enter, tried as that user."""
    barred = {}
    for path in paths:
        parents, parts = [], path.split("/")[1:-1]
        for length in range(1, len(parts) + 1):
            place = "/" + "/".join(parts[:length])
            if may_hang(place, table) or not os.path.isdir(place):
                break
            parents.append(place)
        number = tried_as(parents, user, uid, gid)
        if number is not None:
            barred[path] = parents[number]
    return barred


def tried_as(paths: list[str], user: str, uid: int, gid: int) -> int | None:
    """Return the index of the first directory that the user cannot enter; None if there is none."""
    try:
        groups = os.getgrouplist(pwd.getpwnam(user).pw_name, gid)
    except KeyError:
        groups = [gid]
    reply = run_as((uid, gid), 10, lambda: [os.access(place, os.X_OK) for place in paths], groups=groups)
    lets_in: list[bool] = reply.get("value", [])
    return lets_in.index(False) if False in lets_in else None


def machine_identity() -> str:
    """Return what differs between running machines: boot id, machine id, and the namespace of init."""
    boot, number = read_text_or_none("/proc/sys/kernel/random/boot_id"), read_text_or_none("/etc/machine-id")
    try:
        init = os.readlink("/proc/1/ns/pid")
    except OSError:
        return ""
    return f"{boot.strip()} {(number or '').strip()} {init}" if boot else ""


def machine_addresses() -> list[str]:
    """Return the global addresses of this machine (ip(8))."""
    try:
        result = run_command(["ip", "-json", "address", "show", "up", "scope", "global"], timeout=20)
        links = json.loads(result.stdout)  # an empty answer is a ValueError
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return []
    return sorted({one["local"] for link in links for one in link.get("addr_info", ()) if "local" in one})
