"""Puts a NanoClaw v1 back as it was: v2 is stopped, v1 may start again, and runs if it ran.

Argument: {"v1": its service or null, "v2": name of its unit, "label": of v2's containers, "marker", "trying", "ran":
the file that is there if v1 ran when it was stopped, "start": whether it is to run however it was, "serves": whether
v2 serves, which then goes on if v1 does not stay up, "journal": where it is noted, or null}. Repeats safely. What v2
has stays where it is. v1 comes first: whatever Docker or v2's unit do, it is started. Fails if it does not stay up.
Answer: {"v1": its state, "notes": [what else went wrong]}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.service.agent_containers import agents_of, list_agents
from files.pods.v1.units import ServiceError, start_and_stay, state, systemctl


def stop_v2(unit: str, label: str) -> list[str]:
    """What went wrong; a service that does not stop is killed."""
    v2, wrong = {"manager": "system", "name": unit}, []
    if systemctl(v2, "stop", unit, seconds=100)[0] != 0:
        systemctl(v2, "kill", "--signal=KILL", unit, seconds=20)
        wrong.append(f"{unit} did not stop and was killed")
    try:
        listed = list_agents(label)
        asked = subprocess.run(listed, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=True)
        if names := agents_of(asked.stdout):
            stop = ["docker", "stop", "--time=10", *names]
            subprocess.run(stop, stdin=subprocess.DEVNULL, capture_output=True, timeout=40, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        wrong.append(f"agents of v2 may still run: {error}")
    return wrong


def serve_on(asked: dict[str, Any], why: ServiceError) -> None:
    """Has v2 start again, as before: v1 has to be seen to first."""
    replace(asked["marker"], f"v2 serves on: {why}\n".encode(), 0o644)
    if asked["v1"]:
        systemctl(asked["v1"], "stop", asked["v1"]["name"], seconds=100)
    v2 = {"manager": "system", "name": asked["v2"]}
    start_and_stay(v2, 60)
    raise ServiceError(f"v1 does not start, and v2 serves on: {why}")


def main(asked: dict[str, Any]) -> dict[str, Any]:
    for path in (asked["marker"], asked["trying"]):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if os.path.isdir(os.path.dirname(asked["marker"])):
        directory = os.open(os.path.dirname(asked["marker"]), os.O_RDONLY)
        os.fsync(directory)  # a crash must not bring v2 back
        os.close(directory)
    notes = stop_v2(asked["v2"], asked["label"])
    v1 = asked["v1"]
    if v1 and (asked["start"] or os.path.exists(asked["ran"])):
        try:
            start_and_stay(v1, 60)
        except ServiceError as error:
            if asked["serves"]:
                serve_on(asked, error)
            raise
    with suppress(FileNotFoundError):
        os.unlink(asked["ran"])
    if asked["journal"] and os.path.exists(asked["journal"]):
        with open(asked["journal"], encoding="utf-8") as file:
            found = json.load(file)
        replace(asked["journal"], json.dumps({**found, "state": "rolled back"}, indent=1).encode() + b"\n", 0o600)
    return {"v1": state(v1) if v1 else "has no service", "notes": notes}


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except (ServiceError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
