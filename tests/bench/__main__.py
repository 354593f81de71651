"""`make bench`: measures, writes build/bench.json, and prints a table.

`python -m tests.bench PART…` measures some parts alone; the document keeps what the others came to before. `--divide N`
takes trees of an Nth of the size, and says so. Parts have labs of their own and can be measured side by side, but then
each other's load is in their seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from tests.bench import counted, guard, hostile_inputs, ownership, planning, switch, timed
from tests.e2e.fleet import PROJECT
from tests.lab.errors import LabError
from tests.lab.shell import say

RESULT = PROJECT / "build" / "bench.json"


Keep = Callable[[dict[str, Any]], None]
"""Writes what a part has come to so far: some take an hour."""


def _smaller(plans: Sequence[ownership.Plan], divide: int) -> list[ownership.Plan]:
    return [replace(plan, entries=plan.entries // divide) for plan in plans]


def _counted(_divide: int, _keep: Keep) -> dict[str, Any]:
    counts = counted.count()
    print(counted.table(counts), flush=True)
    return counted.document(counts)


PARTS: dict[str, tuple[Callable[[int, Keep], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {
    "counted": (_counted, lambda _figures: ""),
    "planning": (lambda n, _keep: planning.measure(planning.FEW // n, planning.MANY // n), planning.sentence),
    "hostile_inputs": (lambda _n, _keep: hostile_inputs.measure(), hostile_inputs.sentence),
    "lab": (lambda _n, _keep: timed.measure(os.environ), timed.sentence),
    "migration": (lambda _n, keep: switch.measure(keep), switch.sentence),
    "ownership_local": (lambda n, k: ownership.measure_local(_smaller(ownership.LOCAL, n), k), ownership.sentence),
    "ownership_nfs": (lambda n, k: ownership.measure_nfs(_smaller(ownership.NFS, n), k), ownership.sentence),
    "guard_sessions": (guard.measure_sessions, guard.sentence_of_sessions),
    "guard_idle": (guard.measure_idle, guard.sentence_of_idle),
}
"""What measures each part, and what puts it into words. What needs nothing comes first, then the lab that is up."""


def measured(name: str, divide: int) -> dict[str, Any]:
    """One part. One that cannot be measured says why, keeps what it had come to, and the others go on."""
    so_far: dict[str, Any] = {}

    def keep(figures: dict[str, Any]) -> None:
        so_far.update(figures)
        write(name, {**so_far, "not_measured": "it has not ended"})

    try:
        figures = PARTS[name][0](divide, keep)
    except (LabError, OSError, AssertionError, subprocess.SubprocessError) as error:
        say(traceback.format_exc())
        figures = {**so_far, "not_measured": str(error)[-2000:] or type(error).__name__}
    return figures if divide == 1 else {**figures, "sizes_divided_by": divide}


def write(name: str, figures: dict[str, Any]) -> None:
    """Puts one part into the document; the others stay as they are there."""
    document: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    document |= {"pyinfra": version("pyinfra"), "python": platform.python_version(), "processors": os.cpu_count()}
    document[name] = figures
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Each part is written as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without one")
    parser.add_argument("--divide", type=int, default=1)
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in options.parts or PARTS:
        figures = measured(name, options.divide)
        sentence = (
            f"{name}: not measured: {figures['not_measured']}" if "not_measured" in figures else PARTS[name][1](figures)
        )
        print(sentence, flush=True)
        write(name, figures)
    print(f"wrote {RESULT}")


if __name__ == "__main__":
    main(sys.argv[1:])
