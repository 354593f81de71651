"""Enables a service, starts it again if asked to, and waits until it is up to stay.

Argument: {"unit", "restart": bool, "socket": path, "errors": path}. It is up when it answers on its socket; or,
since it delays its own start after unclean stops, when it has run for a while. Otherwise the last lines of the
journal and of its error log are the reason.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

SETTLE = 20
LINES = 15


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )


def state(unit: str) -> tuple[str, str]:
    shown = systemctl("show", "--property=ActiveState,InvocationID", unit).stdout
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return found.get("ActiveState", ""), found.get("InvocationID", "")


def answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        try:
            client.connect(path)
        except OSError:
            return False
    return True


def settles(unit: str, path: str) -> bool:
    """Whether the service is up: what runs now does not end while we look."""
    _, invocation = state(unit)
    until = time.monotonic() + SETTLE
    while time.monotonic() < until:
        if state(unit) != ("active", invocation):
            return False
        if answers(path):
            return True
        time.sleep(1)
    return True


def last_lines(unit: str, errors: str) -> str:
    journal = subprocess.run(
        ["journalctl", "--no-pager", "--output=cat", f"--lines={LINES}", f"--unit={unit}"],
        capture_output=True,
        timeout=60,
    )
    try:
        with open(os.open(errors, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            said = plain(file.read())[-LINES:]
    except OSError:
        said = []
    return "\n".join([f"the journal of {unit}:", *plain(journal.stdout), f"{errors}:", *said])


def plain(text: bytes) -> list[str]:
    """Lines as printable text: agents have a say in what is logged, and an operator's terminal shows it."""
    lines = text.decode("utf-8", "backslashreplace").rstrip().split("\n")
    return ["".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line) for line in lines]


def main() -> None:
    arguments = json.loads(sys.argv[1])
    unit, errors = arguments["unit"], arguments["errors"]
    enabled = systemctl("enable", unit)
    if enabled.returncode != 0:
        sys.exit(f"{unit} cannot be enabled: {enabled.stdout}")
    if not arguments["restart"]:
        return
    systemctl("reset-failed", unit)
    started = systemctl("restart", unit)
    if started.returncode != 0:
        sys.exit(f"{unit} does not start: {started.stdout}\n{last_lines(unit, errors)}")
    if systemctl("show", "--property=ConditionResult", "--value", unit).stdout.strip() == "no":
        left = f"/etc/systemd/system/{unit}.d/60-nanoclaw-pods-migration.conf"
        why = f" It waits for a migration from v1: finish that, or remove {left}" if os.path.exists(left) else ""
        sys.exit(f"{unit} does not start: a condition of it is not met (systemctl status {unit}).{why}")
    if not settles(unit, arguments["socket"]):
        sys.exit(f"{unit} starts and ends again\n{last_lines(unit, errors)}")


if __name__ == "__main__":
    main()
