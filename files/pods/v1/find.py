"""Find installs of NanoClaw v1 on a machine: for programs that import it.

"auto" trusts only root and the host user: others could plant an install with their own mount allow-list. Their installs
are listed, and not used.
"""

from __future__ import annotations

import glob
import os
import pwd
import stat
from collections.abc import Callable, Collection
from contextlib import suppress

from files.pods.common.mountinfo import find_mount, may_hang, mount_table
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.systemctl import Manager, ManagerError, running_users
from files.pods.common.unit_commands import (
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
from files.pods.service.root_units import Listing, list_services
from files.pods.v1.files import folders_in, version_of
from files.pods.v1.v1_state import Candidate, Kind

UNIT = "nanoclaw.service"
AUTO = "auto"


def every_home() -> tuple[list[tuple[int, str]], list[str]]:
    """Return the homes of this machine with their users, and the mounts of homes with a silent server.

    NSS does not enumerate every user (sssd.conf(5), enumerate), so directories in /home and /home/DOMAIN count too.
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
    """Return the homes that have units of a user's manager, by uid."""
    homes_by_uid: dict[int, list[str]] = {}
    for uid, home in homes:
        if any(os.path.isdir(f"{home}/{units}") for units in USER_UNITS):
            homes_by_uid.setdefault(uid, []).append(home)
    return homes_by_uid


def candidates(where: str, root: str, uid: int, homes: list[tuple[int, str]]) -> list[Candidate]:
    """Return the install that a setting names, or for "auto" all candidates.

    + where: "auto", or a directory
    + root: the project root of v2; NanoClaw's own migration looks beside it
    + uid: the host user's
    """
    if where != AUTO:
        return [describe(os.path.realpath(where), ["nanoclaw_v1_dir"])]
    above = os.path.dirname(root)
    beside = [f"{above}/{name}" for name in folders_in(above) if name != os.path.basename(root)]
    pairs = [(path, f"beside {root}") for path in beside if has_database(path) and not is_v2(path)]
    ours = [home for user, home in homes if user in (0, uid)]
    pairs += [one for place in (above, *ours) for one in by_pid_file(place)]
    untrusted = [(path, by) for path, by in pairs if not is_of(path, {0, uid})]
    trusted = [one for one in pairs if one not in untrusted]
    for manager in (None, *sorted({0, uid})):
        trusted += by_units(manager, [home for user, home in homes if user == manager])
    trusted += by_processes({0, uid})
    return [*collect(trusted, trusted=True), *collect(untrusted, {path for path, _ in trusted}, trusted=False)]


def others_installs(uid: int, homes: list[tuple[int, str]], known: list[str]) -> list[Candidate]:
    """Return installs that users other than root and the host user may run."""
    users = {user for user, _ in homes} | set(running_users())
    users -= {0, uid}
    pairs = [one for user, home in homes if user in users for one in by_pid_file(home)]
    for user in sorted(users):
        pairs += by_units(user, [home for owner, home in homes if owner == user])
    pairs += by_processes(users)
    return [one for one in collect(pairs, set(known), trusted=False) if one.kind in ("v1", "absent")]


def is_of(path: str, users: set[int]) -> bool:
    """Return whether one of these users owns a directory, and not everybody may write it."""
    info = os.lstat(path)
    return info.st_uid in users and not info.st_mode & stat.S_IWOTH


def by_pid_file(directory: str) -> list[tuple[str, str]]:
    """Return the installs below a directory that have a pid file."""
    paths = sorted(glob.glob(f"{glob.escape(directory)}/*/nanoclaw.pid"))
    return [(os.path.realpath(os.path.dirname(path)), f"by {path}") for path in paths]


def has_database(path: str) -> bool:
    """Return whether a directory has v1's database."""
    return os.path.isfile(f"{path}/store/messages.db")


def by_processes(users: set[int], is_root: Callable[[str], bool] = has_database) -> list[tuple[str, str]]:
    """Return the project roots that processes of these users run."""
    pairs = []
    for process in root_processes(None, lambda uid: uid in users):
        for path in dict.fromkeys(map(os.path.realpath, [process["directory"], *process["roots"]])):
            if is_root(path):
                pairs.append((path, f"by process {process['pid']}"))
    return pairs


def by_units(
    manager: Manager,
    homes: list[str],
    is_root: Callable[[str], bool] = has_database,
    name: str | None = UNIT,
    listing: Listing = list_services,
) -> list[tuple[str, str]]:
    """Return the project roots that a manager's units start; for the unit with this name its directory in any case."""
    home = home_of(0 if manager is None else manager) or "".join(homes[:1]) or None
    texts: list[tuple[str, str, str]] = []
    if manager is None or manager in running_users():
        with suppress(ManagerError):  # a manager without an answer is refused when the install is inspected
            for unit in listing(manager):
                where = working_directory(unit, home)
                text = "\n".join([command_text(unit), where, environment_text(unit)])
                texts.append((unit.get("FragmentPath") or unit["Id"], where, text))
    if not texts:
        for path, text, _ in unit_file_texts(manager, homes):
            where = (last_setting(text, "WorkingDirectory") or home or "/").replace("%h", home or "/nonexistent")
            texts.append((path, where, text))
    pairs = []
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
        pairs += [(root, f"by {file}") for root in roots]
    return pairs


def collect(pairs: list[tuple[str, str]], known: Collection[str] = (), *, trusted: bool) -> list[Candidate]:
    """Merge candidates by path."""
    ways: dict[str, list[str]] = {}
    for path, by in pairs:
        if path not in known:
            ways.setdefault(path, []).append(by)
    return [describe(path, by, trusted=trusted) for path, by in sorted(ways.items())]


def is_v2(path: str) -> bool:
    """Return whether package.json has a v2; the years of later versions count on from that (2026.10.0)."""
    major = (version_of(path) or "").partition(".")[0]
    return major.isascii() and major.isdecimal() and int(major) >= 2


def describe(path: str, by: list[str], *, trusted: bool = True) -> Candidate:
    """Return what a directory is."""
    if not os.path.isdir(path):
        kind: Kind = "absent"
    elif is_v2(path):
        kind = "v2"
    else:
        kind = "v1" if os.path.lexists(f"{path}/store/messages.db") else "no database"
    return Candidate(path, [escape_control(one) for one in dict.fromkeys(by)][:3], kind, trusted)
