"""`make soak`: run whole what CI runs a sample of. Prints a summary and writes it to build/soak.json.

`python -m tests.soak PART…` runs only these parts; the summary keeps the earlier results of the others. `--step STEP`,
which may be repeated, limits the accidents to that step; the summary says how many steps ran.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tests.e2e.fleet import PROJECT
from tests.e2e.interruptions import STEPS
from tests.e2e.version_changes import STEPS as VERSION_STEPS
from tests.lab.errors import LabError
from tests.soak.migration import accidents, refusals, waves
from tests.soak.ownership import hostile, sessions, strategies
from tests.soak.version import version_accidents, version_waves, versions
from tests.soak.whole import matrix, scenarios

RESULT = PROJECT / "build" / "soak.json"
OF_V1 = (waves, refusals, accidents)
OF_VERSIONS = (versions, version_waves, version_accidents)
PARTS = {it.__name__: it for it in (scenarios, matrix, hostile, sessions, strategies, *OF_V1, *OF_VERSIONS)}
ALL_STEPS = tuple(dict.fromkeys((*STEPS, *VERSION_STEPS)))


def main(arguments: list[str]) -> int:
    """Run the parts; the exit status is 0 only if every part passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without one")
    parser.add_argument("--step", action="append", choices=ALL_STEPS, default=[], metavar="STEP")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    summary: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    names = options.parts or list(PARTS)
    for name in names:
        summary[name] = PARTS[name](options.step)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(f"soak: {json.dumps(summary)}")
    return int(any(summary[name]["failed"] for name in names))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"soak: {error}")
