"""Stops a NanoClaw v1 with its agents, and proves it dead.

Argument: {"v1": its service or null, "root": its project root, "trying": path in /run, "ran": path}. From here on v1
cannot start until `trying` is gone (files/programs/migration_units.py); `ran` notes that it ran, until it has been
put back or v2 was decided for. Agents are the containers that have a directory of the root. Dead means: its unit is
not active, no process runs from its root, none of its agents runs, nobody has its database open. Nothing in its tree
is written.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from files.programs.atomic import replace
from files.programs.v1_running import containers, processes
from files.programs.v1_service import ServiceError, must, state

PATIENCE = 30  # seconds


def agents(root: str) -> list[str]:
    """The running containers of this v1, by what they have mounted: others may have such names."""
    names = containers()
    if names is None:
        raise ServiceError("Docker does not say which agents run: see systemctl status docker")
    return [name for name in names if any(f"{path}/".startswith(f"{root}/") for path in mounts_of(name))]


def mounts_of(name: str) -> list[str]:
    """Directories of the host that a container has; none of one that has ended meanwhile."""
    shape = "{{range .Mounts}}{{println .Source}}{{end}}"
    words = ["docker", "inspect", "--format", shape, name]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30).stdout.split(
        "\n"
    )


def stop_agents(root: str) -> None:
    names = agents(root)
    if names:
        stop = ["docker", "stop", "--time=10", *names]
        done = subprocess.run(stop, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)
        if agents(root):
            raise ServiceError(f"agents of v1 do not stop: {', '.join(names)} ({done.stderr.strip()})")


def users_of(path: str) -> list[int]:
    """The processes that have a file or one of its journals open."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            files = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue  # gone
        if any(file.startswith(path) for file in files):
            found.append(int(pid))
    return found


def alive(asked: dict[str, Any]) -> str:
    """What of v1 still runs, in words; empty when it is dead."""
    unit = asked["v1"]
    if unit and state(unit) not in ("inactive", "failed"):
        return f"{unit['name']} is {state(unit)}"
    if left := [one["pid"] for one in processes(asked["root"])]:
        return f"process {', '.join(map(str, left))} runs from {asked['root']}"
    if names := agents(asked["root"]):
        return f"agents run: {', '.join(names)}"
    if users := users_of(f"{asked['root']}/store/messages.db"):
        return f"process {', '.join(map(str, users))} has its database open"
    return ""


def main(asked: dict[str, Any]) -> dict[str, Any]:
    if asked["v1"] and state(asked["v1"]) not in ("inactive", "failed"):
        replace(asked["ran"], b"v1 ran when it was stopped\n", 0o600)
    with open(asked["trying"], "w", encoding="utf-8") as file:
        file.write("a migration is under way\n")
    if asked["v1"]:
        must(asked["v1"], "stop", asked["v1"]["name"], seconds=180)
    stop_agents(asked["root"])
    end = time.monotonic() + PATIENCE
    while said := alive(asked):
        if time.monotonic() > end:
            raise ServiceError(f"v1 is not dead: {said}")
        time.sleep(0.5)
    return {"dead": True}


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except (ServiceError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
