"""Whether NanoClaw answers on its socket, in the start that systemd has of it.

`active` is not enough: NanoClaw delays its own start after crashes (its circuit breaker) and serves nothing meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

PATIENCE = 10
"""Seconds for one answer: what listens but does not read has stopped."""

KNOCK = r"""
import datetime, json, os, socket, struct, sys
root, seconds = sys.argv[1], float(sys.argv[2])
said = {"socket": None, "pid": 0, "answers": False, "error": "", "breaker": None}
try:
    os.chdir(root)
    last = any(os.path.exists("src/cli/socket-server" + end) for end in (".ts", ".js"))
    os.chdir("data")  # a socket's path is at most 107 bytes long (unix(7))
    said["socket"] = name = "ncl.sock" if last else "cli.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(seconds)
        client.connect(name)
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        said["pid"] = struct.unpack("3i", peer)[0]
        client.shutdown(socket.SHUT_WR)  # the other side closes then, if it reads
        client.recv(1)
        said["answers"] = True
except OSError as error:
    said["error"] = "no answer within %d s" % seconds if isinstance(error, socket.timeout) else str(error)
try:
    with open(os.open("circuit-breaker.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        found = json.loads(file.read(4096))
    begun = datetime.datetime.strptime(found["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    said["breaker"] = [int(found["attempt"]), begun.replace(tzinfo=datetime.timezone.utc).timestamp()]
except (OSError, ValueError, KeyError, TypeError, OverflowError):
    pass
print(json.dumps(said))
"""
"""Asks as the host user: nobody else may open the socket, and root is nobody on a server that squashes it.

data/ncl.sock is the last thing that NanoClaw opens at its start. A checkout without it has data/cli.sock alone.
"""

PAUSES = (0, 0, 10, 30, 120, 300, 900)
"""Seconds by which NanoClaw's circuit breaker delays the first, second, … start after crashes."""


def serving(unit: str, root: str, user: tuple[int, int]) -> dict[str, Any]:
    """{"active", "sub", "answers", "why", "seconds" since its start or null, "pause": seconds left, "invocation"}."""
    names = "ActiveState,SubState,MainPID,InvocationID,ExecMainStartTimestampMonotonic"
    shown = subprocess.run(
        ["systemctl", "show", f"--property={names}", unit],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    now = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    reply: dict[str, Any] = {
        "active": now.get("ActiveState", ""),
        "sub": now.get("SubState", ""),
        "invocation": now.get("InvocationID", ""),
        "seconds": None,
        "pause": 0,
        "answers": False,
    }
    if reply["active"] != "active":
        return {**reply, "why": f"{unit} is {reply['active'] or 'unknown to systemd'} ({reply['sub']})"}
    start = int(now.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
    reply["seconds"] = round(time.clock_gettime(time.CLOCK_MONOTONIC) - start, 1)
    knocked = knock(root, user)
    if knocked["answers"] and is_of_start(knocked["pid"], now.get("MainPID", ""), reply["invocation"]):
        return {**reply, "answers": True, "why": ""}
    where = f"{root}/data/{knocked['socket'] or ''}"
    if knocked["answers"]:
        why = f"process {knocked['pid']} answers at {where}, but {unit} did not start it: end it, then run again"
        return {**reply, "why": why}
    reply["pause"] = pause_left(knocked["breaker"], reply["seconds"])
    if reply["pause"]:
        until = time.strftime("%H:%M:%S UTC", time.gmtime(time.time() + reply["pause"]))
        attempt = knocked["breaker"][0]
        why = f"{unit} serves nothing: after {attempt - 1} crashes its circuit breaker delays the start until {until}"
        return {**reply, "why": why}
    return {**reply, "why": f"{unit} is active and serves nothing: {where}: {knocked['error']}"}


def knock(root: str, user: tuple[int, int]) -> dict[str, Any]:
    """What the host user gets at the socket."""
    nothing = {"socket": None, "pid": 0, "answers": False, "breaker": None}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", KNOCK, root, str(PATIENCE)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            cwd="/",
            check=False,
            **as_user(user),
        )
        output: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {**nothing, "error": f"no answer within {2 * PATIENCE} s"}
    except (OSError, ValueError) as error:
        return {**nothing, "error": str(error)}
    return output


def as_user(user: tuple[int, int]) -> dict[str, Any]:
    """Arguments of subprocess.run with which a command is the host user's."""
    return {"user": user[0], "group": user[1], "extra_groups": []} if os.getuid() == 0 else {}


def is_of_start(pid: int, main: str, invocation: str) -> bool:
    """Whether a process is the unit's main one, or was started by this start of it (systemd.exec(5), INVOCATION_ID)."""
    if pid <= 0:
        return False
    if str(pid) == main:
        return True
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return bool(invocation) and f"INVOCATION_ID={invocation}".encode() in file.read(1 << 20).split(b"\0")
    except OSError:
        return False


def pause_left(breaker: list[float] | None, seconds: float) -> int:
    """Seconds that the circuit breaker still waits; 0 where it does not, or what it wrote is of an earlier start."""
    if breaker is None or not 1 <= breaker[0] < 10_000:
        return 0
    since = time.time() - breaker[1]
    if since > seconds + 5:
        return 0
    return max(0, round(PAUSES[min(int(breaker[0]), len(PAUSES)) - 1] - since))


def wait_until_serving(unit: str, root: str, user: tuple[int, int], seconds: float) -> dict[str, Any]:
    """The same, once it answers, or has ended, or begun a longer pause, or that took too long."""
    end = time.monotonic() + seconds
    first = serving(unit, root, user)
    now = first
    while not now["answers"] and time.monotonic() < end:
        gone = (now["active"], now["invocation"]) != ("active", first["invocation"])
        if gone or now["pause"] > end - time.monotonic():
            break
        time.sleep(1)
        now = serving(unit, root, user)
    return now
