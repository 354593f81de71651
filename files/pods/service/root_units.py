"""The services that run, or may run, a project root of NanoClaw.

Each manager describes its units, with drop-ins and specifiers (systemd.unit(5)). If a user's manager does not run, the
text of the user's units is searched, and they count as "no manager". A user that may not write the root runs no
NanoClaw there, whatever its units are.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable
from typing import Any

from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.common.systemctl import (
    BOOTED,
    Manager,
    ManagerError,
    lingering_users,
    parse_environment,
    run_systemctl,
    running_users,
    service_names,
    show_property,
    show_units,
)
from files.pods.common.unit_commands import (
    PROPERTIES,
    STARTS_NODE,
    command_text,
    last_setting,
    may_run,
    mentions_root,
    unit_file_texts,
)
from files.pods.common.users import home_of, may_write, uid_of

Listing = Callable[[Manager], list[dict[str, str]]]
CHANGES_USER = re.compile(r"\bHOME=|\b(sudo|su|runuser|machinectl|setpriv)\b")


def unit_of(manager: Manager, name: str) -> dict[str, Any]:
    """Return a unit's settings, one query each, so that no value can look like another."""
    user, directory = show_property(manager, name, "User"), show_property(manager, name, "WorkingDirectory")
    uid = manager if manager is not None else uid_of(user or "root")
    if manager is None and show_property(manager, name, "DynamicUser") == "yes":
        uid = None
    environment = parse_environment(show_property(manager, name, "Environment"))
    unset = show_property(manager, name, "UnsetEnvironment").split()
    passed = show_property(manager, name, "PassEnvironment").split()
    files = [
        line.partition(" (ignore_errors=")[0] for line in show_property(manager, name, "EnvironmentFiles").splitlines()
    ]
    home = environment.get("HOME")
    if home is None and (manager is not None or "HOME" in passed):
        home = manager_home(manager)
    if any(word in ("HOME", f"HOME={home}") for word in unset):
        home = None
    command = command_text({"ExecStart": show_property(manager, name, "ExecStart"), "WorkingDirectory": directory})
    return {
        "manager": "system" if manager is None else "user",
        "name": escape_control(name),
        "file": escape_control(show_property(manager, name, "FragmentPath") or name),
        "uid": uid,
        "home": home if home is None else escape_control(home),
        "doubt": home_doubt(files, command),
        "file_state": show_property(manager, name, "UnitFileState"),
        "enabled": show_property(manager, name, "UnitFileState")
        in ("enabled", "enabled-runtime", "linked", "linked-runtime"),
        "active": show_property(manager, name, "ActiveState") or "unknown",
        "reload": show_property(manager, name, "NeedDaemonReload") == "yes" or has_unread(manager, name),
    }


def has_unread(manager: Manager, name: str) -> bool:
    """Whether a drop-in is newer than the unit that its manager has read: NeedDaemonReload= overlooks those."""
    read = {os.path.basename(path) for path in show_property(manager, name, "DropInPaths").split()}
    paths = run_systemctl(manager, "show", "--value", "--property=UnitPath").split()
    there = {os.path.basename(path) for place in paths for path in glob.glob(f"{place}/{glob.escape(name)}.d/*.conf")}
    return not there <= read


def manager_home(manager: Manager) -> str | None:
    """Return HOME of a manager's environment, or the home of its user."""
    values = re.findall("^HOME=(.*)$", run_systemctl(manager, "show-environment"), re.MULTILINE)
    if values:
        return (
            parse_environment(f'"HOME={values[-1][2:-1]}"')["HOME"] if values[-1].startswith("$'") else str(values[-1])
        )
    return home_of(manager)


def home_doubt(files: list[str], command: str) -> str | None:
    """Why only a running process shows HOME: a file or a command may set it."""
    for path in files:
        text = read_untrusted_text(path, follow=True)
        if text is None and not os.path.lexists(path):
            continue
        if text is None or "HOME" in text.replace("\\\n", ""):
            return escape_control(f"EnvironmentFile={path} may set HOME")
    return "its command may set HOME" if CHANGES_USER.search(command) else None


def list_services(manager: Manager) -> list[dict[str, str]]:
    """Return what a manager says of each of its services. Raises ManagerError if it does not answer."""
    return show_units(manager, service_names(manager), (*PROPERTIES, "FragmentPath"))


def units_of(manager: Manager, root: str, listing: Listing = list_services) -> list[dict[str, Any]]:
    """Return a manager's services that run the project root. Raises ManagerError if it does not answer."""
    running = []
    for unit in listing(manager):
        if unit.get("LoadState") == "masked" and unit.get("ActiveState") != "active":
            continue
        if may_run(unit, root, home_of(uid_of(unit.get("User") or "root") if manager is None else manager)):
            running.append(unit_of(manager, unit["Id"]))
    return running


def unasked_units(manager: Manager, root: str, paths: list[str]) -> list[dict[str, Any]]:
    """Return units that may run the project root, by their text: their manager does not run."""
    home = home_of(0 if manager is None else manager) or (paths[0] if paths else "/nonexistent")
    by_name: dict[str, dict[str, Any]] = {}
    for path, text, is_enabled in unit_file_texts(manager, paths):
        directory = (last_setting(text, "WorkingDirectory") or home).replace("%h", home)
        if STARTS_NODE.search(text) and any(mentions_root(text, root, place, home) for place in (home, directory)):
            name = os.path.basename(path)
            guess = (last_setting(text, "HOME") or "").replace("%h", home) or None
            one = {
                "name": escape_control(name),
                "file": escape_control(path),
                "home": guess and escape_control(guess),
            }
            more = {"uid": manager, "manager": "user", "active": "no manager", "doubt": None, "reload": False}
            if manager is None:
                user = uid_of(last_setting(text, "User") or "root")
                more |= {"uid": user, "manager": "system", "active": "unknown"}
            by_name.setdefault(
                name, {**one, **more, "enabled": is_enabled, "file_state": "enabled" if is_enabled else "disabled"}
            )
    return list(by_name.values())


def units(root: str, homes: dict[int, list[str]], listing: Listing = list_services) -> dict[str, Any]:
    """Return a root's services, managers that did not answer, and units of users that may not write it.

    + homes: the homes of this machine that may have units, by uid
    + listing: what a manager says of its services; for several roots, asked once
    """
    running, lingering = running_users(), lingering_users()
    uids = sorted({0, *running, *lingering, *homes})
    able = [uid for uid in uids if may_write(uid, root)]
    services: list[dict[str, Any]] = []
    unasked = []
    for manager in (None, *(uid for uid in able if uid in running)):
        try:
            services += units_of(manager, root, listing)
        except ManagerError as error:
            if manager is not None or os.path.isdir(BOOTED):
                unasked.append({"uid": manager, "why": escape_control(str(error))})
            services += unasked_units(None, root, []) if manager is None else []
    for uid in able:
        if uid not in running:
            services += unasked_units(uid, root, homes.get(uid, []))
        if uid in lingering and uid not in running:
            unasked.append({"uid": uid, "why": "it does not run, and starts with the machine"})
    others = [uid for uid in uids if uid not in able]
    return {"units": services, "unasked": unasked, "strangers": strangers_units(others, running, root, homes)}


def strangers_units(uids: list[int], running: list[int], root: str, homes: dict[int, list[str]]) -> list[str]:
    """Return units that name the root, of users that may not write it. For display only: errors are ignored."""

    def listed_units() -> list[str]:
        some = [
            unit
            for uid in uids
            for unit in (units_of(uid, root) if uid in running else unasked_units(uid, root, homes.get(uid, [])))
        ]
        return [f"{unit['file']} of uid {unit['uid']}" for unit in some[:20]]

    listed: list[str] = run_as(ROOT, 10, listed_units).get("value", [])
    return listed


def would_start(unit: dict[str, Any]) -> bool:
    """Whether a service runs, or may start by itself: at boot, by a timer, or by another unit."""
    return unit["active"] not in ("inactive", "failed", "no manager") or unit["file_state"] not in (
        "disabled",
        "masked",
    )
