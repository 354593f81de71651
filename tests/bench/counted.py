"""Operations, facts and commands of runs, counted on the @fake connector: the same on any controller."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fake.deploy import Cost, costs, fleet
from tests.fake.kinds import KINDS

WHAT = (
    "one run of deploy.py over a server and one host of each kind, on pyinfra's @fake connector. operations: those "
    "that the deploy has for the machine; in a dry run, those that it says would change. facts: commands that only "
    "look, with the probe of the last operation. trips: round trips to the machine. commands: everything else that is "
    "sent to the machine. changes: operations that change it. first: each operation finds its part undone (a Debian 13 "
    "with apt, what packages bring is not counted); second and dry: everything is done."
)

Costs = dict[str, dict[str, Cost]]
"""By run, by machine."""


def count() -> Costs:
    """Runs the deploy three times over all kinds of machines; takes some seconds."""
    with tempfile.TemporaryDirectory() as folder:
        return costs(Path(folder), fleet(**KINDS))


def document(counted: Costs) -> dict[str, Any]:
    """The counts for bench.json: by kind of machine, by run."""
    machines = next(iter(counted.values()))
    return {
        "what": WHAT,
        "machines": {
            name.removeprefix("@fake/"): {run: asdict(trips[name]) for run, trips in counted.items()}
            for name in machines
        },
    }


def table(counted: Costs) -> str:
    """The counts in a table for people: operations, facts, round trips and commands of each run."""
    runs = list(counted)
    rows = [["", *(f"{run} run" for run in runs)], ["machine", *["operations  facts  trips  commands"] * len(runs)]]
    for name in next(iter(counted.values())):
        cells = [counted[run][name] for run in runs]
        rows.append(
            [
                name.removeprefix("@fake/"),
                *(f"{c.operations:>10}  {c.facts:>5}  {c.trips:>5}  {c.commands:>8}" for c in cells),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
