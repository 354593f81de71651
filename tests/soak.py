"""`make soak`: what CI runs a sample of, whole. Prints a summary and writes it to build/soak.json."""

from __future__ import annotations

import json
import sys

from tests.e2e.fleet import PROJECT
from tests.lab.errors import LabError
from tests.matrix.__main__ import RESULT as MATRIX
from tests.matrix.__main__ import main as run_matrix

RESULT = PROJECT / "build" / "soak.json"


def main() -> int:
    """The exit status is 0 only if every part passed."""
    failed = run_matrix([])
    found = json.loads(MATRIX.read_text(encoding="utf-8"))
    summary = {
        "matrix": {
            "cells": found["cells"],
            "in_containers": found["in_containers"],
            "actions": found["actions"],
            "disagree": len(found["disagreements"]),
            "not_run": len(found["not_run"]),
            "seconds": found["seconds"],
        }
    }
    RESULT.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"soak: {json.dumps(summary)}")
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"soak: {error}")
