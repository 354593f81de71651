"""Every scenario, and every cell of the matrix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.e2e.fleet import PROJECT
from tests.e2e.sample import ALL
from tests.matrix.__main__ import RESULT as MATRIX
from tests.matrix.__main__ import main as run_matrix


def scenarios(_steps: Sequence[str]) -> dict[str, Any]:
    """Every scenario of tests/e2e, not only a sample."""
    begun = time.monotonic()
    argv = [sys.executable, "-m", "pytest", "-q", "tests/e2e"]
    done = subprocess.run(argv, cwd=PROJECT, env={**os.environ, ALL: "all"}, check=False)
    return {"failed": done.returncode, "seconds": round(time.monotonic() - begun)}


def matrix(_steps: Sequence[str]) -> dict[str, Any]:
    """Every cell of the matrix."""
    run_matrix([])
    result = json.loads(MATRIX.read_text(encoding="utf-8"))
    return {
        "cells": result["cells"],
        "in_containers": result["in_containers"],
        "actions": result["actions"],
        "failed": len(result["disagreements"]),
        "not_run": len(result["not_run"]),
        "seconds": result["seconds"],
    }
