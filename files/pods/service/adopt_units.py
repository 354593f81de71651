"""Stops and disables services of a user's manager, so that the system's can take their place; their files stay.

Argument: {"uid": of the manager, "names": of the services}. Fails where one still runs, or would start again.
"""

from __future__ import annotations

import json
import sys

from files.pods.v1.units import ServiceError, must, state


def main(uid: int, names: list[str]) -> None:
    """Disable and stop the units; raise ServiceError if one still runs."""
    for name in names:
        unit = {"manager": "user", "name": name, "uid": uid}
        must(unit, "disable", name)
        must(unit, "stop", name, seconds=180)
        if (now := state(unit)) not in ("inactive", "failed"):
            raise ServiceError(f"{name} of uid {uid} is {now}")


if __name__ == "__main__":
    try:
        main(**json.loads(sys.argv[1]))
        print(json.dumps({"disabled": True}))
    except ServiceError as failure:
        sys.exit(str(failure))
