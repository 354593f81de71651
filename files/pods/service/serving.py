"""Whether NanoClaw answers on its socket, since its last start by systemd.

`active` is not enough: after crashes NanoClaw's circuit breaker delays its start, and it serves nothing meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Optional

from files.pods.common.protocol import decode
from files.pods.common.run_command import run_command
from files.pods.common.systemctl import unit_properties
from files.pods.service.protocol import Serving

ANSWER_SECONDS = 10
"""Seconds for one answer: a process that listens but does not read has stopped."""

CONNECT = r"""
import datetime, json, os, socket, struct, sys
root, seconds = sys.argv[1], float(sys.argv[2])
reply = {"socket": None, "pid": 0, "answers": False, "error": "", "breaker": None}
try:
    os.chdir(root)
    last = any(os.path.exists("src/cli/socket-server" + end) for end in (".ts", ".js"))
    os.chdir("data")  # a socket's path is at most 107 bytes long (unix(7))
    reply["socket"] = name = "ncl.sock" if last else "cli.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(seconds)
        client.connect(name)
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        reply["pid"] = struct.unpack("3i", peer)[0]
        client.shutdown(socket.SHUT_WR)  # the other side closes then, if it reads
        client.recv(1)
        reply["answers"] = True
except OSError as error:
    reply["error"] = "no answer within %d s" % seconds if isinstance(error, socket.timeout) else str(error)
try:
    with open(os.open("circuit-breaker.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        state = json.loads(file.read(4096))
    start = datetime.datetime.strptime(state["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ")
    reply["breaker"] = [int(state["attempt"]), start.replace(tzinfo=datetime.timezone.utc).timestamp()]
except (OSError, ValueError, KeyError, TypeError, OverflowError):
    pass
print(json.dumps(reply))
"""
"""Runs as the host user: nobody else may open the socket, and a server may squash root.

NanoClaw opens data/ncl.sock last at its start. Older checkouts have data/cli.sock alone.
"""

PAUSES = (0, 0, 10, 30, 120, 300, 900)
"""Seconds by which NanoClaw's circuit breaker delays the first, second, … start after crashes."""


@dataclass(frozen=True)
class UnitServing(Serving):
    """The same, and the unit's last start."""

    active: str = ""
    sub: str = ""
    invocation: str = ""
    seconds: float | None = None
    """Since the start of an active unit."""
    pause: int = 0
    """Seconds that the circuit breaker still waits."""


@dataclass(frozen=True)
class SocketReply:
    """What the host user got at the socket."""

    socket: Optional[str] = None  # noqa: UP045  the machine's Python may be 3.9
    pid: int = 0
    answers: bool = False
    error: str = ""
    breaker: Optional[tuple[float, float]] = None  # noqa: UP045
    """Attempt and time that the circuit breaker wrote."""


def serving(unit: str, root: str, user: tuple[int, int]) -> UnitServing:
    """Ask systemd for the last start, and try to connect."""
    names = ("ActiveState", "SubState", "MainPID", "InvocationID", "ExecMainStartTimestampMonotonic")
    now = unit_properties(unit, *names)
    active, sub, invocation = (now.get(name, "") for name in ("ActiveState", "SubState", "InvocationID"))
    if active != "active":
        return UnitServing(False, f"{unit} is {active or 'unknown to systemd'} ({sub})", active, sub, invocation)
    start = int(now.get("ExecMainStartTimestampMonotonic") or 0) / 1e6
    seconds = round(time.clock_gettime(time.CLOCK_MONOTONIC) - start, 1)
    reply = connect(root, user)
    where = f"{root}/data/{reply.socket or ''}"
    answers, pause = False, 0
    if reply.answers and is_of_start(reply.pid, now.get("MainPID", ""), invocation):
        answers, why = True, ""
    elif reply.answers:
        why = f"process {reply.pid} answers at {where}, but {unit} did not start it: end it, then run again"
    elif reply.breaker and (pause := pause_left(*reply.breaker, seconds)):
        until = time.strftime("%H:%M:%S UTC", time.gmtime(time.time() + pause))
        crashes = int(reply.breaker[0]) - 1
        why = f"{unit} serves nothing: after {crashes} crashes its circuit breaker delays the start until {until}"
    else:
        why = f"{unit} is active and serves nothing: {where}: {reply.error}"
    return UnitServing(answers, why, active, sub, invocation, seconds, pause)


def connect(root: str, user: tuple[int, int]) -> SocketReply:
    """Connect to the socket as the host user."""
    try:
        argv = [sys.executable, "-I", "-c", CONNECT, root, str(ANSWER_SECONDS)]
        done = run_command(argv, timeout=2 * ANSWER_SECONDS, cwd="/", **as_user(user))
        return decode(SocketReply, json.loads(done.stdout), "socket")
    except subprocess.TimeoutExpired:
        return SocketReply(error=f"no answer within {2 * ANSWER_SECONDS} s")
    except (OSError, ValueError) as error:
        return SocketReply(error=str(error))


def as_user(user: tuple[int, int]) -> dict[str, Any]:
    """Return the arguments with which subprocess.run runs a command as the host user."""
    return {"user": user[0], "group": user[1], "extra_groups": []} if os.getuid() == 0 else {}


def is_of_start(pid: int, main: str, invocation: str) -> bool:
    """Whether a process is the unit's main one, or a child of this start (systemd.exec(5), INVOCATION_ID)."""
    if pid <= 0:
        return False
    if str(pid) == main:
        return True
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return bool(invocation) and f"INVOCATION_ID={invocation}".encode() in file.read(1 << 20).split(b"\0")
    except OSError:
        return False


def pause_left(attempt: float, begun: float, seconds: float) -> int:
    """Return the seconds that the circuit breaker still waits; 0 if its file is of an earlier start."""
    if not 1 <= attempt < 10_000:
        return 0
    since = time.time() - begun
    if since > seconds + 5:
        return 0
    return max(0, round(PAUSES[min(int(attempt), len(PAUSES)) - 1] - since))


def wait_until_serving(unit: str, root: str, user: tuple[int, int], seconds: float) -> UnitServing:
    """The same, once it answers, or has ended, or begun a longer pause, or that took too long."""
    end = time.monotonic() + seconds
    first = serving(unit, root, user)
    now = first
    while not now.answers and time.monotonic() < end:
        gone = (now.active, now.invocation) != ("active", first.invocation)
        if gone or now.pause > end - time.monotonic():
            break
        time.sleep(1)
        now = serving(unit, root, user)
    return now
