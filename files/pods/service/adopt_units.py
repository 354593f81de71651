"""Stop and disable services of a user's manager, so that the system's can take their place. Their files stay.

Fails where one still runs, or would start again.
"""

from __future__ import annotations

import json
import sys

from files.pods.common.protocol import read_request
from files.pods.service.protocol import AdoptUnitsRequest
from files.pods.v1.protocol import Service
from files.pods.v1.units import ServiceError, must, state


def main(request: AdoptUnitsRequest) -> None:
    """Disable and stop the units; raise ServiceError if one still runs."""
    for name in request.names:
        unit = Service(name, request.uid)
        must(unit, "disable", name)
        must(unit, "stop", name, seconds=180)
        if (now := state(unit)) not in ("inactive", "failed"):
            raise ServiceError(f"{name} of uid {request.uid} is {now}")


if __name__ == "__main__":
    try:
        main(read_request(AdoptUnitsRequest))
        print(json.dumps({"disabled": True}))
    except ServiceError as failure:
        sys.exit(str(failure))
