"""Control the service that runs a NanoClaw v1, in the system's manager or a user's: for programs that import it."""

from __future__ import annotations

import os
import pwd
import subprocess
import time

from files.pods.common.read_text import read_text_or_none
from files.pods.common.run_command import run_command
from files.pods.common.systemctl import child_options
from files.pods.v1.protocol import Service


class ServiceError(Exception):
    """A service does not do as requested; says what systemd printed."""


def systemctl(unit: Service, *args: str, seconds: int = 60) -> tuple[int, str]:
    """Run systemctl(1) in the unit's manager, as its user; return exit status and output."""
    if unit.uid is not None:
        args = ("--user", *args)
    try:
        done = run_command(
            ["systemctl", *args], timeout=seconds, stderr=subprocess.STDOUT, cwd="/", **child_options(unit.uid)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 124, str(error)
    return done.returncode, done.stdout.strip()


def must(unit: Service, *args: str, seconds: int = 60) -> None:
    """Run systemctl(1); raise ServiceError if it fails."""
    status, output = systemctl(unit, *args, seconds=seconds)
    if status != 0:
        raise ServiceError(f"systemctl {' '.join(args)} ({unit.manager}): {output or f'status {status}'}")


def state(unit: Service) -> str:
    """Return ActiveState, or the error of systemctl."""
    return systemctl(unit, "show", "--property=ActiveState", "--value", unit.name)[1]


def start_and_stay(unit: Service, seconds: int) -> None:
    """Start the service; raise ServiceError unless it stays up for five seconds within `seconds`."""
    systemctl(unit, "reset-failed", unit.name)
    must(unit, "start", unit.name, seconds=150)
    end, since, last = time.monotonic() + seconds, time.monotonic(), ""
    while time.monotonic() < end:
        now = systemctl(unit, "show", "--property=ActiveState,MainPID,ControlGroup", unit.name)[1]
        if now != last or "ActiveState=active" not in now or not has_process(now):
            since, last = time.monotonic(), now
        elif time.monotonic() - since > 5:
            return
        time.sleep(0.5)
    raise ServiceError(f"{unit.name} does not stay up: {last!r}")


def has_process(shown: str) -> bool:
    """Return whether a service has a process: its main one, or any if that one ends (systemd.service(5), oneshot)."""
    properties = dict(line.partition("=")[::2] for line in shown.splitlines())
    if properties.get("MainPID", "0") != "0":
        return True
    group = properties.get("ControlGroup", "")
    places = (f"/sys/fs/cgroup{group}", f"/sys/fs/cgroup/systemd{group}", f"/sys/fs/cgroup/unified{group}")
    every = [directory for place in places if group for directory, _, _ in os.walk(place)]
    return any((read_text_or_none(f"{directory}/cgroup.procs") or "").strip() for directory in every)


def drop_in(unit: Service) -> str:
    """Return the path of our drop-in (systemd.unit(5)); the user of a user unit must own it."""
    if unit.uid is None:
        return f"/etc/systemd/system/{unit.name}.d/60-nanoclaw-pods-migration.conf"
    try:
        home = os.path.realpath(pwd.getpwuid(unit.uid).pw_dir)
    except KeyError:
        raise ServiceError(f"there is no user {unit.uid} on this machine") from None
    return f"{home}/.config/systemd/user/{unit.name}.d/60-nanoclaw-pods-migration.conf"
