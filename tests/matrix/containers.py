"""Cells with a real container: dockerd creates its mount points, and a process of the image's USER acts in it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tasks.model.access.session_lifecycle import live
from tests.lab.machine import Machine
from tests.matrix import machines
from tests.matrix.cells import Cell

Images = Mapping[str, str]
"""Image names by USER, as it is written."""

_CHECKOUT = "/opt/matrix-agent"

_NO_MOUNT_POINT = re.compile(
    rf"(/workspace/(agent|global|extra)\b|\bl?stat ({machines.MOUNTED}|{machines.LOCAL})/\S+).*: permission denied",
    re.IGNORECASE,
)
"""Docker's error where root may not create a mount point in the session, or not stat the source of a bind mount."""

_INSIDE = (Path(__file__).parent / "inside.sh").read_text(encoding="utf-8")


def pick(cells: Sequence[Cell], number: int) -> list[Cell]:
    """Return cells spread over all those in which the host can create a session, which a container needs."""
    able = [cell for cell in cells if live(cell.case)["host creates the session directory"].outcome == "allowed"]
    step = max(len(able) // number, 1)
    return [replace(cell, name=f"c{cell.name}") for cell in able[::step][:number]]


def images(client: Machine, server: Machine, cells: Sequence[Cell]) -> Images:
    """Build the lab's agent image, and one from it for each USER."""
    client.succeed(
        f"rm -rf {_CHECKOUT} /srv/extra && git clone -q git://{server.address}/nanoclaw.git {_CHECKOUT} && "
        f"mkdir -p /srv/extra && CONTAINER_IMAGE=agent bash {_CHECKOUT}/container/build.sh",
        timeout=600,
    )
    tags = {user: f"agent-{number}" for number, user in enumerate(dict.fromkeys(cell.user for cell in cells))}
    for user, name in tags.items():
        client.succeed(f"printf 'FROM agent\\nUSER {user}\\n' | docker build -q -t {name} -", timeout=300)
    return tags


def _command(cell: Cell, images: Images) -> str:
    """Return the command of a container as NanoClaw starts it: --user for host uids other than 0 and 1000, nested
    mounts.
    """
    at = machines.arguments(cell)["mounted"]
    host = cell.case.host
    user = [] if host.uid in (0, 1000) else ["--user", str(host)]
    binds = [
        (f"{at}/session", "/workspace", ""),
        (f"{at}/group", "/workspace/agent", ""),
        (f"{at}/.claude-shared", "/home/node/.claude", ""),
        ("/srv/extra", "/workspace/global", ",readonly"),
        ("/srv/extra", "/workspace/extra", ",readonly"),
    ]
    mounts = [f"--mount=type=bind,source={source},target={target}{more}" for source, target, more in binds]
    argv = ["docker", "run", "--rm", "-w", "/", *user, *mounts, "--entrypoint", "sh", images[cell.user], "-c", _INSIDE]
    return shlex.join(argv)


def _script(cells: Sequence[Cell], images: Images) -> str:
    """Return one command for many cells. For each it prints JSON or, after a `!`, the end of Docker's error."""
    lines = [
        f'if said=$({_command(cell, images)} 2>/tmp/complaint); then echo {cell.name} "$said"; '
        f"else echo {cell.name} \"!$(tr '\\n' ' ' < /tmp/complaint)\"; fi"
        for cell in cells
    ]
    return "\n".join(lines)


def results(output: str) -> dict[str, dict[str, str | None]]:
    """Parse the output of `_script`. A container that did not start shows only that dockerd could not create mount
    points.

    Raises RuntimeError for one that did not start for another reason, which says nothing about the cell.
    """
    by_cell: dict[str, dict[str, str | None]] = {}
    for line in output.splitlines():
        name, _, result = line.partition(" ")
        if not result.startswith("!"):
            by_cell[name] = {"dockerd makes the mount points": None, **json.loads(result)}
        elif _NO_MOUNT_POINT.search(result):
            by_cell[name] = {"dockerd makes the mount points": "EACCES"}
        else:
            raise RuntimeError(f"the container of cell {name} did not start: {result[1:]}")
    return by_cell


def carry_out(client: Machine, images: Images, cells: Sequence[Cell]) -> dict[str, dict[str, str | None]]:
    """Run the container of each cell and return the results."""
    return results(client.run("sh", input=_script(cells, images), timeout=900).stdout)
