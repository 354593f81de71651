"""The service that runs a NanoClaw v1, in the system's manager or in a user's: for programs that import it.

It is given as {"manager": "system" or "user", "name", "uid"}, or null where none runs it.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from typing import Any

from files.pods.common.read_text import read_text_or_none
from files.pods.common.systemctl import child_options


class ServiceError(Exception):
    pass


def systemctl(unit: dict[str, Any], *words: str, seconds: int = 60) -> tuple[int, str]:
    """Exit status and output of systemctl(1) in the unit's manager; a user's is asked as that user."""
    manager = unit["uid"] if unit["manager"] == "user" else None
    if manager is not None:
        words = ("--user", *words)
    try:
        done = subprocess.run(
            ["systemctl", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            cwd="/",
            check=False,
            **child_options(manager),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 124, str(error)
    return done.returncode, done.stdout.strip()


def must(unit: dict[str, Any], *words: str, seconds: int = 60) -> None:
    status, said = systemctl(unit, *words, seconds=seconds)
    if status != 0:
        raise ServiceError(f"systemctl {' '.join(words)} ({unit['manager']}): {said or f'status {status}'}")


def state(unit: dict[str, Any]) -> str:
    """ActiveState, or what systemctl said instead."""
    return systemctl(unit, "show", "--property=ActiveState", "--value", unit["name"])[1]


def start_and_stay(unit: dict[str, Any], seconds: int) -> None:
    """Starts the service, and fails unless it has run for five seconds without a new start within `seconds`."""
    systemctl(unit, "reset-failed", unit["name"])
    must(unit, "start", unit["name"], seconds=150)
    end, since, seen = time.monotonic() + seconds, time.monotonic(), ""
    while time.monotonic() < end:
        now = systemctl(unit, "show", "--property=ActiveState,MainPID,ControlGroup", unit["name"])[1]
        if now != seen or "ActiveState=active" not in now or not has_process(now):
            since, seen = time.monotonic(), now
        elif time.monotonic() - since > 5:
            return
        time.sleep(0.5)
    raise ServiceError(f"{unit['name']} does not stay up: {seen!r}")


def has_process(shown: str) -> bool:
    """Whether a service has a process: its main one, or any, where that one ends (systemd.service(5), oneshot)."""
    said = dict(line.partition("=")[::2] for line in shown.splitlines())
    if said.get("MainPID", "0") != "0":
        return True
    group = said.get("ControlGroup", "")
    places = (f"/sys/fs/cgroup{group}", f"/sys/fs/cgroup/systemd{group}", f"/sys/fs/cgroup/unified{group}")
    every = [directory for place in places if group for directory, _, _ in os.walk(place)]
    return any((read_text_or_none(f"{directory}/cgroup.procs") or "").strip() for directory in every)


def drop_in(unit: dict[str, Any]) -> str:
    """Where our drop-in of the unit lies (systemd.unit(5)); for a user's, what must belong to that user."""
    if unit["manager"] == "system":
        return f"/etc/systemd/system/{unit['name']}.d/60-nanoclaw-pods-migration.conf"
    try:
        home = os.path.realpath(pwd.getpwuid(unit["uid"]).pw_dir)
    except KeyError:
        raise ServiceError(f"there is no user {unit['uid']} on this machine") from None
    return f"{home}/.config/systemd/user/{unit['name']}.d/60-nanoclaw-pods-migration.conf"
