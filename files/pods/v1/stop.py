"""Stop a NanoClaw v1 with its agents, and prove that it is dead.

From here on v1 cannot start until `trying` is gone (files/pods/transition/unit_conditions.py); `ran` records that it
ran, until it is rolled back or v2 is committed. Agents are the containers that mount a directory of the root. Dead
means: its unit is not active, no process runs from its root, none of its agents runs, no process has its database open.
Writes nothing in v1's tree.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.service.root_agents import PODMAN, docker_at
from files.pods.v1.processes import containers, processes
from files.pods.v1.protocol import StopRequest
from files.pods.v1.units import ServiceError, must, state

PATIENCE, DOCKER_PATIENCE = 30, 60  # seconds


def agents(root: str) -> list[tuple[str | None, str]]:
    """Return the running containers of this v1 by their mounts: others may have similar names.

    A daemon that does not answer may be busy, so it gets DOCKER_PATIENCE. Then raises ServiceError: what runs is
    unknown.
    """
    end = time.monotonic() + DOCKER_PATIENCE
    while True:
        if (running := agents_now(root)) is not None:
            return running
        if time.monotonic() > end:
            raise ServiceError("Docker does not say which agents run: see systemctl status docker")
        time.sleep(0.5)


def agents_now(root: str) -> list[tuple[str | None, str]] | None:
    """Return the same from one query; None if a daemon does not answer, or not for each container."""
    if (running := containers(root)) is None:
        return None
    mounted = [(one, one[0] == PODMAN or has_mounted(*one, root)) for one in running]
    return None if any(has is None for _, has in mounted) else [one for one, has in mounted if has]


def has_mounted(where: str | None, name: str, root: str) -> bool | None:
    """Return whether a container mounts a directory of the root; None if it has ended, or if that is unknown."""
    template = "{{range .Mounts}}{{println .Source}}{{end}}"
    output = docker_at(where, "inspect", "--format", template, name, timeout=30)
    return None if output is None else any(f"{path}/".startswith(f"{root}/") for path in output.splitlines())


def stop_agents(root: str) -> None:
    """Stop the agents of this v1, and try again for PATIENCE. Raises ServiceError if some remain."""
    end = time.monotonic() + PATIENCE
    while running := agents(root):
        for where in {where for where, _ in running} - {PODMAN}:
            docker_at(where, "stop", "--time=10", *(name for place, name in running if place == where), timeout=180)
        if (left := agents(root)) and time.monotonic() > end:
            raise ServiceError(f"agents of v1 do not stop: {', '.join(name for _, name in left)}")
        if left:
            time.sleep(0.5)


def alive(request: StopRequest) -> str:
    """Return what of v1 still runs, as text; empty when it is dead."""
    unit = request.v1
    if unit and state(unit) not in ("inactive", "failed"):
        return f"{unit.name} is {state(unit)}"
    if left := [one["pid"] for one in processes(request.root)]:
        return f"process {', '.join(map(str, left))} runs from {request.root}, or has its database open"
    if running := agents(request.root):
        return f"agents run: {', '.join(name for _, name in running)}"
    return ""


def main(request: StopRequest) -> dict[str, bool]:
    """Stop v1; raise ServiceError if it is not dead within PATIENCE."""
    if request.v1 and state(request.v1) not in ("inactive", "failed"):
        replace(request.ran, b"v1 ran when it was stopped\n", 0o600)
    with open(request.trying, "w", encoding="utf-8") as file:
        file.write("a migration is under way\n")
    if request.v1:
        must(request.v1, "stop", request.v1.name, seconds=180)
    stop_agents(request.root)
    end = time.monotonic() + PATIENCE
    while rest := alive(request):
        if time.monotonic() > end:
            raise ServiceError(f"v1 is not dead: {rest}")
        time.sleep(0.5)
    return {"dead": True}


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(StopRequest))))
    except (ServiceError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
