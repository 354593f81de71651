"""Runs a command on this machine and says what it took, as tests/bench/programs/measured.py does on one of the lab."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parent / "programs" / "measured.py"


def measured(argv: Sequence[str], limit: float) -> dict[str, Any]:
    """Its seconds, its peak of memory in kB (`largest_kb`), its exit status and its last lines (`said`)."""
    request = json.dumps({"argv": list(argv), "limit": limit})
    done = subprocess.run([sys.executable, str(MEASURED)], input=request, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
