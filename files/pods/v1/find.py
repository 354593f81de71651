"""Where a NanoClaw v1 may lie on a machine: for programs that import it.

Nobody's word counts for "auto" but root's and the host user's: others could plant an install, with a mount allow-list
of their own. Theirs are listed.
"""

from __future__ import annotations

import glob
import os
import pwd
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from files.pods.common.mountinfo import find_mount, may_hang, mount_table
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.systemctl import Manager, ManagerError, running_users, service_names, show_units
from files.pods.common.unit_commands import (
    PROPERTIES,
    STARTS_NODE,
    USER_UNITS,
    command_text,
    environment_text,
    last_setting,
    paths_in,
    unit_file_texts,
    working_directory,
)
from files.pods.common.users import home_of
from files.pods.service.root_processes import root_processes
from files.pods.v1.files import folders_in, version_of

UNIT = "nanoclaw.service"
AUTO = "auto"


def every_home() -> tuple[list[tuple[int, str]], list[str]]:
    """The homes of this machine, with their users; and the mounts of homes that were not looked into: a silent server.

    NSS does not enumerate every user (sssd.conf(5), enumerate), so what lies in /home counts too, as /home/DOMAIN/USER.
    """
    table = mount_table()
    above = [] if may_hang("/home", table) else [f"/home/{name}" for name in folders_in("/home")]
    above += [f"{place}/{name}" for place in above if not may_hang(place, table) for name in folders_in(place)]
    named = {(entry.pw_uid, os.path.normpath(entry.pw_dir)) for entry in pwd.getpwall() if entry.pw_dir[:1] == "/"}
    homes = sorted({home for _, home in named} | set(above))
    remote = [home for home in homes if may_hang(home, table)]
    answer = run_as(ROOT, 10, lambda: [home for home in remote if os.path.isdir(home)])
    unseen = [] if "value" in answer else sorted({mount.point for home in remote if (mount := find_mount(home, table))})
    there = [home for home in homes if home not in remote and os.path.isdir(home)] + answer.get("value", [])
    users = {home: {uid for uid, place in named if place == home} for home in there}
    return [(uid, home) for home in there for uid in sorted(users[home] or {os.stat(home).st_uid})], unseen


def homes_with_units(homes: list[tuple[int, str]]) -> dict[int, list[str]]:
    """The homes that have units of a user's manager, by uid."""
    found: dict[int, list[str]] = {}
    for uid, home in homes:
        if any(os.path.isdir(f"{home}/{units}") for units in USER_UNITS):
            found.setdefault(uid, []).append(home)
    return found


def candidates(where: str, root: str, uid: int, homes: list[tuple[int, str]]) -> list[dict[str, Any]]:
    """The install that a setting names, or all that root or the host user may mean.

    + where: "auto", or a directory
    + root: the project root of v2; NanoClaw's own migration looks beside it
    + uid: the host user's
    """
    if where != AUTO:
        return [judged(os.path.realpath(where), ["nanoclaw_v1_dir"])]
    above = os.path.dirname(root)
    beside = [f"{above}/{name}" for name in folders_in(above) if name != os.path.basename(root)]
    found = [(path, f"beside {root}") for path in beside if has_database(path) and not is_v2(path)]
    ours = [home for user, home in homes if user in (0, uid)]
    found += [one for place in (above, *ours) for one in by_pid_file(place)]
    seen = [(path, by) for path, by in found if not is_of(path, {0, uid})]
    trusted = [one for one in found if one not in seen]
    for manager in (None, *sorted({0, uid})):
        trusted += by_units(manager, [home for user, home in homes if user == manager])
    trusted += by_processes({0, uid})
    return [*gathered(trusted, trusted=True), *gathered(seen, {path for path, _ in trusted}, trusted=False)]


def others_installs(uid: int, homes: list[tuple[int, str]], known: list[str]) -> list[dict[str, Any]]:
    """Installs that users other than root and the host user run, or seem to."""
    users = {user for user, _ in homes} | set(running_users())
    users -= {0, uid}
    found = [one for user, home in homes if user in users for one in by_pid_file(home)]
    for user in sorted(users):
        found += by_units(user, [home for owner, home in homes if owner == user])
    found += by_processes(users)
    return [one for one in gathered(found, set(known), trusted=False) if one["kind"] in ("v1", "absent")]


def is_of(path: str, users: set[int]) -> bool:
    """Whether a directory is one of these users', and no other may write it."""
    info = os.lstat(path)
    return info.st_uid in users and not info.st_mode & stat.S_IWOTH


def by_pid_file(place: str) -> list[tuple[str, str]]:
    paths = sorted(glob.glob(f"{glob.escape(place)}/*/nanoclaw.pid"))
    return [(os.path.realpath(os.path.dirname(path)), f"by {path}") for path in paths]


def has_database(path: str) -> bool:
    return os.path.isfile(f"{path}/store/messages.db")


def by_processes(users: set[int], is_root: Callable[[str], bool] = has_database) -> list[tuple[str, str]]:
    found = []
    for process in root_processes(None, lambda uid: uid in users):
        for path in dict.fromkeys(map(os.path.realpath, [process["directory"], *process["roots"]])):
            if is_root(path):
                found.append((path, f"by process {process['pid']}"))
    return found


def by_units(
    manager: Manager, homes: list[str], is_root: Callable[[str], bool] = has_database, name: str | None = UNIT
) -> list[tuple[str, str]]:
    """The project roots that the units of a manager start; and where the unit of a name does, whatever is there."""
    home = home_of(0 if manager is None else manager) or "".join(homes[:1]) or None
    texts: list[tuple[str, str, str]] = []
    if manager is None or manager in running_users():
        with suppress(ManagerError):  # what cannot be asked is refused when an install is looked into
            for unit in show_units(manager, service_names(manager), (*PROPERTIES, "FragmentPath")):
                where = working_directory(unit, home)
                text = "\n".join([command_text(unit), where, environment_text(unit)])
                texts.append((unit.get("FragmentPath") or unit["Id"], where, text))
    if not texts:
        for path, text, _ in unit_file_texts(manager, homes):
            where = (last_setting(text, "WorkingDirectory") or home or "/").replace("%h", home or "/nonexistent")
            texts.append((path, where, text))
    found = []
    for file, where, text in texts:
        places: list[str] = []
        if STARTS_NODE.search(text) or os.path.basename(file) == name:
            places = [
                place
                for path in paths_in(text, where, home)
                for place in (path, os.path.dirname(os.path.dirname(path)))
            ]
        roots = [place for place in dict.fromkeys(places) if is_root(place)]
        if not roots and os.path.basename(file) == name:
            roots = [os.path.realpath(where)]
        found += [(root, f"by {file}") for root in roots]
    return found


def gathered(found: list[tuple[str, str]], known: Collection[str] = (), *, trusted: bool) -> list[dict[str, Any]]:
    ways: dict[str, list[str]] = {}
    for path, by in found:
        if path not in known:
            ways.setdefault(path, []).append(by)
    return [judged(path, by, trusted=trusted) for path, by in sorted(ways.items())]


def is_v2(path: str) -> bool:
    """As NanoClaw's own migration tells them apart: by package.json alone."""
    return (version_of(path) or "").partition(".")[0] == "2"


def judged(path: str, by: list[str], *, trusted: bool = True) -> dict[str, Any]:
    if not os.path.isdir(path):
        kind = "absent"
    elif is_v2(path):
        kind = "v2"
    else:
        kind = "v1" if os.path.lexists(f"{path}/store/messages.db") else "no database"
    return {
        "path": path,
        "by": [escape_control(one) for one in dict.fromkeys(by)][:3],
        "kind": kind,
        "trusted": trusted,
    }
