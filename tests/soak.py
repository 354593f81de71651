"""`make soak`: what CI runs a sample of, whole. Prints a summary and writes it to build/soak.json.

`python -m tests.soak PART…` runs some parts alone; the summary keeps what the others came to before. `--every N` takes
each Nth accident only, and says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.e2e.fleet import PROJECT, Fleet
from tests.e2e.interruptions import INTERRUPTIONS
from tests.e2e.test_9_migration import go_back_and_forth
from tests.e2e.v1_hosts import GATE, OLD, install_v1
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.shell import say
from tests.lab.topology import host, server
from tests.matrix.__main__ import RESULT as MATRIX
from tests.matrix.__main__ import main as run_matrix

RESULT = PROJECT / "build" / "soak.json"
HOST = "host-1000"


def matrix(_every: int) -> dict[str, Any]:
    """Every cell of the matrix."""
    run_matrix([])
    found = json.loads(MATRIX.read_text(encoding="utf-8"))
    return {
        "cells": found["cells"],
        "in_containers": found["in_containers"],
        "actions": found["actions"],
        "failed": len(found["disagreements"]),
        "not_run": len(found["not_run"]),
        "seconds": found["seconds"],
    }


def accidents(every: int) -> dict[str, Any]:
    """A migration with each accident in each step: a v1 or a v2 serves, the next run ends in v2, nothing is lost."""
    begun, failed = time.monotonic(), []
    tried = INTERRUPTIONS[::every]
    with Lab("soak", (server(), host(HOST))).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.of(lab, HOST)
        install_v1(fleet, HOST, Path(folder))
        fleet.data[HOST] |= {"nanoclaw_v1_dir": OLD[HOST].root, "nanoclaw_v1_gate": GATE}
        fleet.deploy()
        for number, accident in enumerate(tried, 1):
            try:
                go_back_and_forth(fleet, HOST, accident)
                say(f"{number} of {len(tried)}: {accident}: nothing was lost")
            except Exception:  # the next accident is tried all the same
                failed.append(str(accident))
                say(f"{number} of {len(tried)}: {accident}: FAILED\n{traceback.format_exc(limit=3)}")
    seconds = round(time.monotonic() - begun)
    all_of_them = len(INTERRUPTIONS)
    return {"tried": len(tried), "of": all_of_them, "failed": len(failed), "which": failed, "seconds": seconds}


PARTS = {"matrix": matrix, "accidents": accidents}


def main(arguments: list[str]) -> int:
    """The exit status is 0 only if every part passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without one")
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    summary: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    names = asked.parts or list(PARTS)
    for name in names:
        summary[name] = PARTS[name](asked.every)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"soak: {json.dumps(summary)}")
    return int(any(summary[name]["failed"] for name in names))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"soak: {error}")
