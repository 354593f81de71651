"""Puts a NanoClaw v1 back as it was: v2 is stopped, v1 may start again, and runs if it ran.

Argument: {"v1": its service or null, "v2": name of its unit, "label": of v2's containers, "marker", "trying",
"journal": where it is noted, or null}. Repeats safely. What v2 has stays where it is. Fails if v1 ran before and does
not stay up now.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from files.programs.atomic import replace
from files.programs.v1_service import ServiceError, must, start_and_stay, state


def stop_v2(unit: str, label: str) -> None:
    v2 = {"manager": "system", "name": unit}
    must(v2, "stop", unit, seconds=180)
    listed = ["docker", "ps", "--quiet", "--filter", f"label=nanoclaw-install={label}"]
    asked = subprocess.run(listed, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if names := asked.stdout.split():
        stop = ["docker", "stop", "--time=10", *names]
        subprocess.run(stop, stdin=subprocess.DEVNULL, capture_output=True, timeout=180, check=True)


def main(asked: dict[str, Any]) -> dict[str, Any]:
    for path in (asked["marker"], asked["trying"]):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if os.path.isdir(os.path.dirname(asked["marker"])):
        directory = os.open(os.path.dirname(asked["marker"]), os.O_RDONLY)
        os.fsync(directory)  # a crash must not bring v2 back
        os.close(directory)
    stop_v2(asked["v2"], asked["label"])
    v1 = asked["v1"]
    if v1 and v1["active"]:
        start_and_stay(v1, 90)
    if asked["journal"] and os.path.exists(asked["journal"]):
        with open(asked["journal"], encoding="utf-8") as file:
            notes = json.load(file)
        replace(asked["journal"], json.dumps({**notes, "state": "rolled back"}, indent=1).encode() + b"\n", 0o600)
    return {"v1": state(v1) if v1 else "has no service"}


if __name__ == "__main__":
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except (ServiceError, OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
