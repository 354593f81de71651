"""Stops a NanoClaw v1 with its agents, and proves it dead.

Argument: {"v1": its service or null, "root": its project root, "trying": path in /run, "ran": path}. From here on v1
cannot start until `trying` is gone (files/pods/migration/unit_conditions.py); `ran` notes that it ran, until it has
been put back or v2 was decided for. Agents are the containers that have a directory of the root. Dead means: its unit
is not active, no process runs from its root, none of its agents runs, nobody has its database open. Nothing in its tree
is written.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.service.root_agents import PODMAN, docker_at
from files.pods.v1.processes import containers, processes
from files.pods.v1.units import ServiceError, must, state

PATIENCE, DOCKER_PATIENCE = 30, 60  # seconds


def agents(root: str) -> list[tuple[str | None, str]]:
    """The running containers of this v1, by what they have mounted: others may have such names.

    A daemon that does not answer is asked again for DOCKER_PATIENCE: it may be busy. Then what runs is unknown, which
    is an error.
    """
    end = time.monotonic() + DOCKER_PATIENCE
    while True:
        if (found := agents_now(root)) is not None:
            return found
        if time.monotonic() > end:
            raise ServiceError("Docker does not say which agents run: see systemctl status docker")
        time.sleep(0.5)


def agents_now(root: str) -> list[tuple[str | None, str]] | None:
    """The same, asked once; None where a daemon does not answer, or not about each of them."""
    if (found := containers(root)) is None:
        return None
    mounted = [(one, one[0] == PODMAN or has_mounted(*one, root)) for one in found]
    return None if any(has is None for _, has in mounted) else [one for one, has in mounted if has]


def has_mounted(where: str | None, name: str, root: str) -> bool | None:
    """Whether a container has a directory of the root; None where it has ended meanwhile, or nobody says."""
    shape = "{{range .Mounts}}{{println .Source}}{{end}}"
    said = docker_at(where, "inspect", "--format", shape, name, timeout=30)
    return None if said is None else any(f"{path}/".startswith(f"{root}/") for path in said.splitlines())


def stop_agents(root: str) -> None:
    """Stop the agents of this v1, again for PATIENCE where that did not stop them all. Raises ServiceError."""
    end = time.monotonic() + PATIENCE
    while found := agents(root):
        for where in {where for where, _ in found} - {PODMAN}:
            docker_at(where, "stop", "--time=10", *(name for place, name in found if place == where), timeout=180)
        if (left := agents(root)) and time.monotonic() > end:
            raise ServiceError(f"agents of v1 do not stop: {', '.join(name for _, name in left)}")
        if left:
            time.sleep(0.5)


def alive(asked: dict[str, Any]) -> str:
    """What of v1 still runs, in words; empty when it is dead."""
    unit = asked["v1"]
    if unit and state(unit) not in ("inactive", "failed"):
        return f"{unit['name']} is {state(unit)}"
    if left := [one["pid"] for one in processes(asked["root"])]:
        return f"process {', '.join(map(str, left))} runs from {asked['root']}, or has its database open"
    if found := agents(asked["root"]):
        return f"agents run: {', '.join(name for _, name in found)}"
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
