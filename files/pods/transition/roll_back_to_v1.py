"""Roll back to a NanoClaw v1: stop v2, let v1 start again, and start it if it ran.

Repeats safely. v2's files stay where they are. v1 comes first: it starts whatever Docker or v2's unit do. Fails if it
does not stay up. Reply: {"v1": its state, "notes": [what else went wrong]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.common.docker import stop_agents
from files.pods.common.protocol import read_request
from files.pods.transition.protocol import RollbackRequest
from files.pods.v1.protocol import Service
from files.pods.v1.units import ServiceError, start_and_stay, state, systemctl


def stop_v2(unit: str, label: str) -> list[str]:
    """Stop v2 and its agents; kill a service that does not stop. Return what went wrong."""
    v2, wrong = Service(unit), []
    if systemctl(v2, "stop", unit, seconds=100)[0] != 0:
        systemctl(v2, "kill", "--signal=KILL", unit, seconds=20)
        wrong.append(f"{unit} did not stop and was killed")
    try:
        stop_agents(label, grace=10, timeout=40)
    except (OSError, subprocess.SubprocessError) as error:
        wrong.append(f"agents of v2 may still run: {error}")
    return wrong


def restore_v2(request: RollbackRequest, error: ServiceError) -> None:
    """Start v2 again, since v1 does not stay up; raise ServiceError."""
    replace(request.marker, f"v2 continues to serve: {error}\n".encode(), 0o644)
    if request.v1:
        systemctl(request.v1, "stop", request.v1.name, seconds=100)
    start_and_stay(Service(request.v2), 60)
    raise ServiceError(f"v1 does not start, so v2 continues to serve: {error}")


def main(request: RollbackRequest) -> dict[str, Any]:
    """Roll back; raise ServiceError if v1 does not stay up."""
    for path in (request.marker, request.trying):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if os.path.isdir(os.path.dirname(request.marker)):
        directory = os.open(os.path.dirname(request.marker), os.O_RDONLY)
        os.fsync(directory)  # a crash must not bring v2 back
        os.close(directory)
    problems = stop_v2(request.v2, request.label)
    v1 = request.v1
    if v1 and (request.start or os.path.exists(request.ran)):
        try:
            start_and_stay(v1, 60)
        except ServiceError as error:
            if request.serves:
                restore_v2(request, error)
            raise
    with suppress(FileNotFoundError):
        os.unlink(request.ran)
    if request.journal and os.path.exists(request.journal):
        with open(request.journal, encoding="utf-8") as file:
            journal = json.load(file)
        replace(request.journal, json.dumps({**journal, "state": "rolled back"}, indent=1).encode() + b"\n", 0o600)
    return {"v1": state(v1) if v1 else "has no service", "notes": problems}


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(RollbackRequest))))
    except (ServiceError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
