"""Mounts, remounts or mounts again what mount units describe; stops those who use it before, starts them after.

Argument: {"cycle": bool, "mounts": [{"unit", "path"}…] (in the order of mounting), "start": [unit…],
"remount": [argv…], "server": {"address", "port", "path"} or null, "service": unit, "install": slug, "lazy": bool}.

Without `cycle` it runs `remount` and starts the units of `start`. With it, it stops the service and the agents of
this install (never a gateway), unmounts every one of `mounts` (with `lazy`, by force where it must be), starts the
units of `start` and every unit that was mounted before, and the service if it ran.

Everything is bounded in time, each command and all together: WORK for what is asked, RECOVERY for putting back what
was there after a failure; that is less than the operation waits for it (tasks/mounts.py). Answer: {"stopped": [name…],
"started": [name…]}. On failure the reason is the last line of standard error; what was mounted is mounted again where
that is possible, and the service runs then.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from files.pods.common.docker import agent_ids, list_agents_argv, stop_argv
from files.pods.common.mountinfo import mount_table
from files.pods.common.sanitize import escape_control

REASONS = (
    ("access denied by server", "the server refuses this machine: it has no export of {path} for this address"),
    ("Operation not permitted", "the server refuses this machine: it has no export of {path} for this address"),
    ("No such file or directory", "the server has no {path}, or does not export it to this address"),
    ("not supported", "the server does not speak this NFS version or transport"),
    ("incorrect mount option", "a mount option is wrong"),
    ("timed out", "the server does not answer"),
    ("refused", "no NFS server listens there"),
    ("No route", "the server cannot be reached"),
    ("unreachable", "the server cannot be reached"),
)


WORK, RECOVERY = 600, 240  # seconds
PATIENCE = 120
"""Seconds that what still uses a mount has to end by itself: more than the grace period of a server that was just
started again, for which it grants no lock (nfsd(7), 90 s by default)."""


class FailedError(Exception):
    pass


class Clock:
    end = time.monotonic() + WORK


def run(argv: list[str], seconds: float) -> tuple[int, str]:
    """Exit status and output; a command that does not end in time is killed and not waited for."""
    seconds = min(seconds, Clock.end - time.monotonic())
    if seconds <= 0:
        raise FailedError(f"no time was left for: {' '.join(argv)}")
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = child.communicate(timeout=seconds)[0].decode(errors="replace").strip()
        return child.returncode, output
    except subprocess.TimeoutExpired:
        child.kill()
        return 124, f"{argv[0]} did not end within {seconds:.0f} s"


def must(argv: list[str], seconds: float) -> str:
    status, output = run(argv, seconds)
    if status != 0:
        raise FailedError(f"{' '.join(argv)}: {output or f'status {status}'}")
    return output


def mounted(path: str) -> bool:
    return any(mount.point == path for mount in mount_table())


def listening(address: str, port: int) -> None:
    try:
        socket.create_connection((address, port), timeout=10).close()
    except OSError as error:
        why = "no NFS server listens there" if isinstance(error, ConnectionRefusedError) else "it cannot be reached"
        raise FailedError(f"{address} port {port}: {why} ({error or 'no answer'})") from error


def target_of(link: str) -> str:
    """Where a link leads; empty where it is gone: a process closes files while it is looked at."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def holders(path: str) -> str:
    """Processes that have something open below a path. Reading links in /proc asks no server."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [f"/proc/{pid}/cwd", f"/proc/{pid}/root"]
            links += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
            targets = [target for link in links if (target := target_of(link))]
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="backslashreplace") as file:
                name = escape_control(file.read().strip())  # what it calls itself
        except OSError:
            continue
        if any(target == path or target.startswith(path + "/") for target in targets):
            found.append(f"{pid} ({name})")
    return ", ".join(found) or "none that /proc shows"


def start(unit: str, server: dict[str, Any] | None) -> None:
    began = int(time.time())
    run(["systemctl", "reset-failed", unit], 30)
    status, output = run(["systemctl", "start", unit], 150)
    if status == 0:
        return
    journal = ["journalctl", f"--unit={unit}", f"--since=@{began - 1}", "--lines=20", "--output=cat", "--no-pager"]
    words = [line for line in run(journal, 30)[1].splitlines() if line.startswith(("mount", "umount"))]
    said = "; ".join(words) or output
    path = server["path"] if server else ""
    reason = next((why.format(path=path) for word, why in REASONS if word in said), "mount(8) failed")
    raise FailedError(f"{unit} does not start: {reason} ({said})")


def unmount(unit: str, path: str, lazy: bool) -> None:
    said = run(["systemctl", "stop", unit], 40)[1]
    # The service's KillMode leaves its children to end by themselves, as it has to for agents.
    begun, is_reported = time.monotonic(), False
    while mounted(path):
        said = run(["umount", path], 40)[1] or said
        waited = time.monotonic() - begun
        if "busy" not in said or waited > PATIENCE:
            break
        if waited > 5 and not is_reported:
            print(f"waiting up to {PATIENCE} s for what uses {path}: {holders(path)}", flush=True)
            is_reported = True
        time.sleep(0.5)
    for option in ("-f", "-l") if lazy else ():
        if mounted(path):
            said = run(["umount", option, path], 40)[1] or said
    if mounted(path):
        raise FailedError(f"{path} cannot be unmounted: {said}; processes that use it: {holders(path)}")


def stop_users(service: str, install: str, stopped: list[str]) -> None:
    """Adds to `stopped` as it goes, for what is stopped must start again where this fails."""
    if run(["systemctl", "is-active", "--quiet", service], 30)[0] == 0:
        must(["systemctl", "stop", service], 150)
        stopped.append(service)
    if shutil.which("docker") and run(["systemctl", "is-active", "--quiet", "docker.service"], 30)[0] == 0:
        containers = agent_ids(must(list_agents_argv(install), 60))
        if containers:
            run(stop_argv(containers, grace=10), 180)
            if left := agent_ids(must(list_agents_argv(install), 60)):
                raise FailedError(f"agent containers do not stop: {' '.join(left)}")
            stopped += [f"container {name}" for name in containers]


def cycle(request: dict[str, Any]) -> tuple[list[str], list[str]]:
    before = [mount for mount in request["mounts"] if mounted(mount["path"])]
    service: str = request["service"]
    stopped: list[str] = []
    started: list[str] = []
    try:
        stop_users(service, request["install"], stopped)
        for mount in reversed(before):
            unmount(mount["unit"], mount["path"], request["lazy"])
        desired = list(dict.fromkeys([*request["start"], *(mount["unit"] for mount in before)]))
        order = [mount["unit"] for mount in request["mounts"]]
        for unit in sorted(desired, key=order.index):
            start(unit, request["server"])
            started.append(unit)
        if service in stopped:
            must(["systemctl", "start", service], 150)
            started.append(service)
    except FailedError:
        with suppress(FailedError):
            restore(before, service if service in stopped else None)
        raise
    return stopped, started


def restore(before: list[dict[str, str]], service: str | None) -> None:
    """Has what was there before the failure again, as far as the time allows."""
    Clock.end = time.monotonic() + RECOVERY
    for mount in before:
        if not mounted(mount["path"]):
            run(["systemctl", "start", mount["unit"]], 150)
    if service and all(mounted(mount["path"]) for mount in before):
        run(["systemctl", "start", service], 150)


def main(request: dict[str, Any]) -> dict[str, list[str]]:
    if request["server"]:
        listening(request["server"]["address"], request["server"]["port"])
    if request["cycle"]:
        stopped, started = cycle(request)
        return {"stopped": stopped, "started": started}
    for argv in request["remount"]:
        must(argv, 60)
    for unit in request["start"]:
        start(unit, request["server"])
    return {"stopped": [], "started": request["start"]}


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except FailedError as failure:
        sys.exit(str(failure))
