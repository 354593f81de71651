"""What it costs to plan a fleet, and to refuse one: each in a process of its own, `python -m tests.bench.planning`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tasks.model.fleet.plan import FleetError, Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tests import builders
from tests.bench.alone import measured
from tests.bench.figures import ratio

WHAT = (
    "plan_fleet over one server and its hosts, without its imports. seconds: of CPU. kb: the peak of the process, less "
    "that of one that plans a single host. planned: each host has a directory of its own. one tree: all have the same "
    "directory and are refused. one address: all have the same address. unknown key: each has a setting that does not "
    "exist. many / few: ten times as many hosts; linear is 10."
)
FEW, MANY = 1_000, 10_000
LIMIT = 600

FLEETS: dict[str, Callable[[int], dict[str, Any]]] = {
    "planned": lambda number: {},
    "one tree": lambda number: {"pods_export": "/srv/pods/all"},
    "one address": lambda number: {"ssh_hostname": "10.1.0.1"},
    "unknown key": lambda number: {f"pods_pth{number:05}": 1},
}
"""Host data that each host of a fleet has beside its own address, by the number of the host."""


def machines(kind: str, hosts: int) -> list[Machine]:
    """A fleet of this kind."""
    return builders.machines(**{f"h{n}": FLEETS[kind](n) for n in range(hosts)})


def plan(kind: str, hosts: int) -> dict[str, Any]:
    """Plans a fleet in this process: the seconds, and how many problems it has."""
    fleet, problems, begun = machines(kind, hosts), 0, time.process_time()
    try:
        plan_fleet(fleet)
    except FleetError as error:
        problems = len(error.problems)
    return {"seconds": round(time.process_time() - begun, 3), "problems": problems}


def measure(few: int, many: int) -> dict[str, Any]:
    """All kinds of fleets in two sizes, and the ratios within this run."""
    least = _one("planned", 1)["kb"]
    fleets: dict[str, Any] = {}
    for kind in FLEETS:
        sizes = {number: _one(kind, number) for number in (few, many)}
        fleets[kind] = {number: {**figures, "kb": figures["kb"] - least} for number, figures in sizes.items()}
    ratios = {
        f"{kind}: many / few, {what}": ratio(of_kind[many][what], of_kind[few][what])
        for kind, of_kind in fleets.items()
        for what in ("seconds", "kb")
    }
    ratios |= {
        f"{kind} / planned, {what}": ratio(of_kind[many][what], fleets["planned"][many][what])
        for kind, of_kind in fleets.items()
        if kind != "planned"
        for what in ("seconds", "kb")
    }
    return {"what": WHAT, "hosts": {"few": few, "many": many}, "fleets": fleets, "ratios": ratios}


def _one(kind: str, hosts: int) -> dict[str, Any]:
    figures = measured([sys.executable, "-m", "tests.bench.planning", kind, str(hosts)], LIMIT)
    if figures["exit"] != 0:
        raise OSError(f"planning {hosts} hosts ({kind}): {figures['exit']}: {' '.join(figures['said'])}")
    return {**json.loads(figures["said"][-1]), "kb": figures["largest_kb"]}


def sentence(document: dict[str, Any]) -> str:
    """The result in one line."""
    many = document["hosts"]["many"]
    planned, ratios = document["fleets"]["planned"][many], document["ratios"]
    refused = [f"{name} {value}" for name, value in ratios.items() if " / planned, " in name]
    return (
        f"planning: {many} hosts in {planned['seconds']} s of CPU and {planned['kb']} kB, "
        f"{ratios['planned: many / few, seconds']} times as long as {document['hosts']['few']}; {', '.join(refused)}"
    )


def main(arguments: Sequence[str]) -> None:
    kind, hosts = arguments
    print(json.dumps(plan(kind, int(hosts))))


if __name__ == "__main__":
    main(sys.argv[1:])
