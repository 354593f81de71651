"""`python -m tests.matrix`: run every cell, or each N-th, in labs of its own; write build/matrix.json.

The client of a lab is one process on one processor. So several labs share the cells, one for each processor.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict

from tests.e2e.fleet import PROJECT
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.shell import say
from tests.lab.topology import host, server
from tests.matrix.cells import Cell
from tests.matrix.run import Outcome, run

RESULT = PROJECT / "build" / "matrix.json"
TOPOLOGY = (server(), host("client"))
CONTAINED = 72
"""Cells that also run in real containers."""


def main(argv: list[str] | None = None) -> int:
    """Run the matrix and print what disagrees. The exit status is 0 only if every prediction was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th cell, for a quick check")
    parser.add_argument("--labs", type=int, default=2, metavar="N", help="how many labs share the cells")
    chosen = parser.parse_args(argv)
    with ExitStack() as stack:
        labs = [stack.enter_context(Lab(f"matrix-{n}", TOPOLOGY).running()) for n in range(chosen.labs)]
        with ThreadPoolExecutor(len(labs)) as pool:
            shares = [pool.submit(_share, lab, n, len(labs), chosen.every) for n, lab in enumerate(labs)]
        outcome, *others = [share.result() for share in shares]
    for other in others:
        outcome.add(other)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(asdict(outcome), indent=2) + "\n", encoding="utf-8")
    for wrong in outcome.disagreements[:20]:
        print(f"{wrong['cell']} {wrong['action']}: predicted {wrong['predicted']}, seen {wrong['seen']}")
        print(f"    {wrong['rule']}\n    {wrong['case']}")
    for group in outcome.not_run:
        if "cells" in group:
            print(f"not run: {group['cells']} combinations, {group['case']}: {group['why']}")
    actions = sum("action" in each for each in outcome.not_run)
    print(f"not run: {actions} actions, listed in {RESULT.relative_to(PROJECT)} with the reason")
    print(f"in containers too: {outcome.in_containers} cells")
    print(outcome.line())
    return 1 if outcome.disagreements else 0


def _share(lab: Lab, number: int, labs: int, every: int) -> Outcome:
    """Run the cells of one of several labs."""

    def choose(cells: list[Cell]) -> list[Cell]:
        return cells[::every][number::labs]

    return run(lab["server"], lab["client"], choose, lambda text: say(f"{lab.name}: {text}"), CONTAINED // labs)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"matrix: {error}")
