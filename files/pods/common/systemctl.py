"""Queries of systemd's managers, the system's and the users', about services.

A manager is None (the system's) or a user's uid. Queries start nothing. A manager that does not answer in time is a
ManagerError. A user's reply is bounded: that user may run another program as its manager.
Sources: systemctl(1), systemd.unit(5), systemd.exec(5); the quoting of `show` is shell_maybe_quote() of systemd.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Optional

from files.pods.common.bounded_output import bounded_output
from files.pods.common.run_command import run_command

Manager = Optional[int]  # noqa: UP045  the machine's Python may be 3.9
BOOTED = "/run/systemd/system"
"""Directory that exists if systemd is the init of this machine (sd_booted(3))."""
RUNTIME, LINGER = "/run/user", "/var/lib/systemd/linger"
REPLY_TIMEOUT, MAX_REPLY = 20, 16 << 20
UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")  # systemd.unit(5)
REPEATED = ("ExecStart", "EnvironmentFiles")  # what `show` prints a line each of
BATCH = 100  # units in one call: argv is bounded (execve(2))


class ManagerError(Exception):
    """A manager did not answer; the text says why."""


def child_options(manager: Manager) -> dict[str, Any]:
    """Return Popen options for a query: a query of a user's manager runs as that user."""
    unformatted = {"SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0"}
    if manager is None:
        return {"env": {**os.environ, **unformatted}}
    runtime = f"{RUNTIME}/{manager}"
    environment = {**unformatted, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": runtime}
    try:
        gid = pwd.getpwuid(manager).pw_gid
    except KeyError:
        gid = os.stat(runtime).st_gid
    return {"user": manager, "group": gid, "extra_groups": [], "env": environment}


def run_systemctl(manager: Manager, *args: str) -> str:
    """Return the output of systemctl. Raises ManagerError if it fails without output, is endless or late."""
    argv = ["systemctl", *(["--user"] if manager is not None else []), "--no-pager", *args]
    try:
        status, data = bounded_output(argv, REPLY_TIMEOUT, MAX_REPLY, cwd="/", **child_options(manager))
    except TimeoutError as error:
        raise ManagerError("it does not answer in time") from error
    except OverflowError as error:
        raise ManagerError("its reply is too large") from error
    except OSError as error:
        raise ManagerError(f"systemctl: {error.strerror}") from error
    if status != 0 and not data:
        raise ManagerError(f"systemctl {args[0]} ended with status {status}")
    return data.decode("utf-8", "replace")


def running_users() -> list[int]:
    """Return the uids of users with a running manager."""
    try:
        names = os.listdir(RUNTIME)
    except FileNotFoundError:
        return []
    return sorted(
        int(name) for name in names if name.isdigit() and os.path.lexists(f"{RUNTIME}/{name}/systemd/private")
    )


def lingering_users() -> list[int]:
    """Return the uids of users with a manager that starts at boot (loginctl(1), enable-linger)."""
    uids = set()
    with suppress(FileNotFoundError):
        for name in os.listdir(LINGER):
            with suppress(KeyError):
                uids.add(pwd.getpwnam(name).pw_uid)
    return sorted(uids)


def service_names(manager: Manager) -> list[str]:
    """Return all services that a manager has a file of or has loaded, such as instances of templates."""
    names = [*file_names(manager), *listed_names(manager, "list-units", "--all")]
    return sorted({name for name in names if name.endswith(".service") and not name.endswith("@.service")})


def file_names(manager: Manager) -> list[str]:
    """Return the names of a manager's unit files.

    The system's manager is asked for their directories alone: for list-unit-files it reads, for each unit, the links
    of all of them. A user's directories may lie in a home on NFS, so that only the manager may look there.
    """
    places = run_systemctl(None, "show", "--value", "--property=UnitPath").split() if manager is None else []
    if not places or not all(place.startswith("/") for place in places):
        return listed_names(manager, "list-unit-files")
    return [name for place in places for name in names_in(place) if UNIT_NAME.fullmatch(name)]


def names_in(directory: str) -> list[str]:
    """Return the names in a directory; none where it is missing."""
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ManagerError(f"{directory}: {error.strerror}") from error


def listed_names(manager: Manager, *command: str) -> list[str]:
    """Return the services that a command of systemctl lists."""
    lines = run_systemctl(manager, *command, "--type=service", "--no-legend", "--plain", "--full").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def show_units(manager: Manager, names: Sequence[str], properties: Iterable[str]) -> list[dict[str, str]]:
    """Return properties of units, one result for all aliases of a unit.

    Several values of one property are joined by newlines. A value may contain newlines and look like other properties;
    an ambiguous unit is queried property by property.
    """
    expected = ["Id", *properties]
    by_id: dict[str, dict[str, str]] = {}
    for first in range(0, len(names), BATCH):
        batch = names[first : first + BATCH]
        units = parse_units(run_systemctl(manager, "show", f"--property={','.join(expected)}", "--", *batch), expected)
        if units is None or len(units) != len(batch):
            units = [show_unit(manager, name, expected) for name in batch]
        by_id.update({unit["Id"]: unit for unit in units})
    return list(by_id.values())


def unit_properties(unit: str, *names: str) -> dict[str, str]:
    """Return properties of a unit of the system's manager; none if systemctl fails."""
    shown = run_command(["systemctl", "show", f"--property={','.join(names)}", unit], timeout=60).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def show_unit(manager: Manager, name: str, expected: Sequence[str]) -> dict[str, str]:
    """Return properties of one unit; query each alone if the output is ambiguous."""
    units = parse_units(run_systemctl(manager, "show", f"--property={','.join(expected)}", "--", name), expected)
    return units[0] if units and len(units) == 1 else {prop: show_property(manager, name, prop) for prop in expected}


def parse_units(text: str, expected: Sequence[str]) -> list[dict[str, str]] | None:
    """Parse the output of `show`; return None if a line is no property, or a single-valued one repeats."""
    units = []
    for block in text.strip("\n").split("\n\n"):
        unit: dict[str, str] = {}
        for line in block.split("\n"):
            name, equals, value = line.partition("=")
            if not equals or name not in expected or (name in unit and name not in REPEATED):
                return None
            unit[name] = f"{unit[name]}\n{value}" if name in unit else value
        if "Id" not in unit:
            return None
        units.append(unit)
    return units


def show_property(manager: Manager, name: str, prop: str) -> str:
    """Return one property of a unit, whatever its value contains."""
    return run_systemctl(manager, "show", "--value", f"--property={prop}", "--", name).rstrip("\n")


def parse_environment(text: str) -> dict[str, str]:
    """Parse Environment= as `show` prints it: plain words, or quoted words with the escapes of C."""
    variables = {}
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"|(\S+)', text, re.DOTALL):
        quoted, plain = match.groups()
        word = plain if quoted is None else ESCAPE.sub(unescape_c, quoted)
        name, equals, value = word.partition("=")
        if equals:
            variables[name] = value
    return variables


ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def unescape_c(match: re.Match[str]) -> str:
    """Decode one escape sequence of C."""
    code = match[1]
    if len(code) == 3:
        return chr(int(code[1:], 16) if code[0] == "x" else int(code, 8))
    return ESCAPES.get(code, code)
