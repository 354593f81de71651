"""Asking systemd's managers, the system's and the users', about services: for programs that import it.

A manager is None (the system's) or the uid of a user. Nothing is started by asking. A manager that does not answer
costs its deadline and is an UnaskedError. A user's answer is bounded: that user may have put another manager there.
Sources: systemctl(1), systemd.unit(5), systemd.exec(5); the quoting of `show` is shell_maybe_quote() of systemd.
"""

from __future__ import annotations

import os
import pwd
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Optional

Manager = Optional[int]  # noqa: UP045  the machine's Python may be 3.9
BOOTED = "/run/systemd/system"
"""A directory where systemd is what runs the machine (sd_booted(3))."""
RUNTIME, LINGER = "/run/user", "/var/lib/systemd/linger"
ANSWER_SECONDS, ANSWER_BYTES = 20, 16 << 20
MANY = ("ExecStart", "EnvironmentFiles")  # what `show` prints a line each of
AT_ONCE = 100  # units in one call: argv is bounded (execve(2))


class UnaskedError(Exception):
    """A manager that did not answer, and why."""


def asker(manager: Manager) -> dict[str, Any]:
    """How a child has to be run that asks a manager: a user's answers that user alone."""
    plain = {"SYSTEMD_COLORS": "0", "SYSTEMD_URLIFY": "0"}
    if manager is None:
        return {"env": {**os.environ, **plain}}
    runtime = f"{RUNTIME}/{manager}"
    environment = {**plain, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": runtime}
    try:
        gid = pwd.getpwuid(manager).pw_gid
    except KeyError:
        gid = os.stat(runtime).st_gid
    return {"user": manager, "group": gid, "extra_groups": [], "env": environment}


def ask_manager(manager: Manager, *words: str) -> str:
    """What systemctl prints; UnaskedError where it fails with nothing printed, prints without end or does not end."""
    argv = ["systemctl", *(["--user"] if manager is not None else []), "--no-pager", *words]
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            **asker(manager),
        )
    except OSError as error:
        raise UnaskedError(f"systemctl: {error.strerror}") from error
    try:
        data = all_of(child, child.stdout, time.monotonic() + ANSWER_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if child.returncode != 0 and not data:
        raise UnaskedError(f"systemctl {words[0]} ended with status {child.returncode}")
    return data.decode("utf-8", "replace")


def all_of(child: subprocess.Popen[bytes], output: Any, end: float) -> bytes:
    """What a child prints until it ends."""
    data = b""
    while select.select([output], [], [], max(0, end - time.monotonic()))[0]:
        more = os.read(output.fileno(), 1 << 16)
        data += more
        if len(data) > ANSWER_BYTES:
            raise UnaskedError("its answer has no end")
        if not more:
            try:
                child.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                break
            return data
    raise UnaskedError("it does not answer in time")


def running_users() -> list[int]:
    """The users that have a manager now."""
    try:
        names = os.listdir(RUNTIME)
    except FileNotFoundError:
        return []
    return sorted(
        int(name) for name in names if name.isdigit() and os.path.lexists(f"{RUNTIME}/{name}/systemd/private")
    )


def lingering_users() -> list[int]:
    """The users that get a manager when the machine starts (loginctl(1), enable-linger)."""
    found = set()
    with suppress(FileNotFoundError):
        for name in os.listdir(LINGER):
            with suppress(KeyError):
                found.add(pwd.getpwnam(name).pw_uid)
    return sorted(found)


def service_names(manager: Manager) -> list[str]:
    """Every service that a manager has a file of, or has loaded: an instance of a template is among the latter."""
    files = ask_manager(manager, "list-unit-files", "--type=service", "--no-legend", "--plain", "--full")
    loaded = ask_manager(manager, "list-units", "--all", "--type=service", "--no-legend", "--plain", "--full")
    names = [line.split()[0] for line in (files + "\n" + loaded).splitlines() if line.strip()]
    return sorted({name for name in names if name.endswith(".service") and not name.endswith("@.service")})


def show_units(manager: Manager, names: Sequence[str], properties: Iterable[str]) -> list[dict[str, str]]:
    """Properties of units, a unit once whatever its aliases; several values of one property are joined by line breaks.

    A value may hold line breaks, and look like other properties then: what is unclear is asked for by itself.
    """
    known = ["Id", *properties]
    found: dict[str, dict[str, str]] = {}
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        units = units_in(ask_manager(manager, "show", f"--property={','.join(known)}", "--", *some), known)
        if units is None or len(units) != len(some):
            units = [one_unit(manager, name, known) for name in some]
        found.update({unit["Id"]: unit for unit in units})
    return list(found.values())


def one_unit(manager: Manager, name: str, known: Sequence[str]) -> dict[str, str]:
    units = units_in(ask_manager(manager, "show", f"--property={','.join(known)}", "--", name), known)
    return units[0] if units and len(units) == 1 else {what: exact(manager, name, what) for what in known}


def units_in(text: str, known: Sequence[str]) -> list[dict[str, str]] | None:
    """The properties of each unit; None where a line is no property, or one comes twice that has one value."""
    found = []
    for block in text.strip("\n").split("\n\n"):
        unit: dict[str, str] = {}
        for line in block.split("\n"):
            name, is_one, value = line.partition("=")
            if not is_one or name not in known or (name in unit and name not in MANY):
                return None
            unit[name] = f"{unit[name]}\n{value}" if name in unit else value
        if "Id" not in unit:
            return None
        found.append(unit)
    return found


def exact(manager: Manager, name: str, what: str) -> str:
    """One property of a unit, whatever its value holds."""
    return ask_manager(manager, "show", "--value", f"--property={what}", "--", name).rstrip("\n")


def environment_in(text: str) -> dict[str, str]:
    """What `show` prints of Environment=, unquoted: plain words, or words in "…" with escapes as in C."""
    found = {}
    for match in re.finditer(r'"((?:[^"\\]|\\.)*)"|(\S+)', text, re.DOTALL):
        quoted, plain = match.groups()
        word = plain if quoted is None else ESCAPE.sub(unescape, quoted)
        name, is_one, value = word.partition("=")
        if is_one:
            found[name] = value
    return found


ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 3:
        return chr(int(code[1:], 16) if code[0] == "x" else int(code, 8))
    return ESCAPES.get(code, code)
