"""Stop NanoClaw's service, let its agents finish what they work at, and stop them.

Without the service no message reaches an agent, so each comes to rest. What one has answered lies in its session's
outbound.db until a service delivers it. Reply: {"waited": seconds, "interrupted": [containers still at work…]}.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

from files.pods.common.atomic_write import replace
from files.pods.common.docker import list_agents, run_docker, stop_agents
from files.pods.common.protocol import read_request
from files.pods.common.run_as_ids import MAX_MEMORY, run_as
from files.pods.common.run_command import run_command
from files.pods.transition.version_protocol import DrainRequest

STOP_SECONDS = 180
GRACE = 10
"""Seconds between SIGTERM and SIGKILL for an agent."""
READ_SECONDS = 30
AT_WORK = "SELECT 1 FROM processing_ack WHERE status = 'processing' LIMIT 1"


def databases(container: str) -> list[str]:
    """Return the databases into which an agent writes what it works at; none for a container that has ended."""
    try:
        done = run_docker("inspect", "--format", "{{json .Mounts}}", container, timeout=60)
        mounts = json.loads(done.stdout) if done.returncode == 0 else []
    except ValueError:
        mounts = []
    paths = [f"{mount['Source']}/outbound.db" for mount in mounts or [] if mount.get("Type") == "bind"]
    return [path for path in paths if os.path.lexists(path)]


def works(path: str) -> bool:
    """Return whether an agent has taken a message and not answered it; so does one with a locked database."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=2)) as connection:
            return connection.execute(AT_WORK).fetchone() is not None
    except sqlite3.Error as error:
        return "locked" in str(error) or "busy" in str(error)


def at_work(containers: list[str], ids: tuple[int, int]) -> list[str]:
    """Return the agents at work. What cannot be read in time counts as work: agents write these files."""
    busy = []
    for container in containers:
        paths = databases(container)
        reply = run_as(ids, READ_SECONDS, lambda: any(works(path) for path in paths), MAX_MEMORY)  # noqa: B023
        if reply.get("value", True):
            busy.append(container)
    return busy


def note_whether_it_ran(request: DrainRequest) -> None:
    """Write or remove the file by which a rollback knows whether the old version served at all."""
    state = run_command(["systemctl", "is-active", request.unit], timeout=60).stdout.strip()
    if state in ("active", "reloading"):
        replace(request.ran, b"the service ran\n", 0o600)
    else:
        with suppress(FileNotFoundError):
            os.unlink(request.ran)


def main(request: DrainRequest) -> dict[str, Any]:
    """Stop the service and its agents; exit if the service does not stop, or Docker does not answer."""
    os.makedirs(os.path.dirname(request.trying), exist_ok=True)
    with open(request.trying, "w", encoding="utf-8") as file:
        file.write("a change of version is under way\n")
    note_whether_it_ran(request)
    begun = time.monotonic()
    stopped = run_command(["systemctl", "stop", request.unit], timeout=STOP_SECONDS, stderr=subprocess.STDOUT)
    if stopped.returncode != 0:
        sys.exit(f"{request.unit} does not stop: {stopped.stdout}")
    ids = (request.uid, request.gid)
    while (busy := at_work(list_agents(request.install, 60), ids)) and time.monotonic() - begun < request.seconds:
        time.sleep(1)
    stop_agents(request.install, grace=GRACE, timeout=120)
    return {"waited": round(time.monotonic() - begun, 1), "interrupted": busy}


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(DrainRequest))))
    except (OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
