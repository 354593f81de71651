"""Run cells on two machines of a lab and compare each result with the prediction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tasks.model.access.session_lifecycle import ACTIONS, live
from tests.lab.machine import Machine
from tests.matrix import containers, machines
from tests.matrix.cells import NOT_PLAIN, ROUNDS, SAME, Cell, cells, left_out

PROGRAM = Path(__file__).parent / "carry_out.py"
BATCH = 200
Results = dict[str, dict[str, str | None]]
"""By cell and action: the errno, or None where it was allowed."""

NOT_STARTED = "dockerd did not start its container, as predicted"
REASONS = frozenset({NOT_STARTED, NOT_PLAIN, SAME})
"""All reasons why something is not run."""


@dataclass
class Outcome:
    """The results of all cells."""

    cells: int = 0
    """Cells, each counted once even if it also ran in a container."""
    actions: int = 0
    """Actions of the cells, and those that ran once more with a container."""
    in_containers: int = 0
    """Cells in which a real container did the actions of dockerd and of the agent too."""
    disagreements: list[dict[str, Any]] = field(default_factory=list)
    not_run: list[dict[str, Any]] = field(default_factory=list)
    """Actions of a cell (`action`), or combinations without a cell (`cells`, how many), with the reason (`why`)."""
    seconds: float = 0

    def add(self, other: Outcome) -> None:
        """Add the results of other cells on equal machines. Combinations without a cell are the same in both."""
        self.cells += other.cells
        self.actions += other.actions
        self.in_containers += other.in_containers
        self.disagreements += other.disagreements
        self.not_run += [each for each in other.not_run if "action" in each]
        self.seconds = max(self.seconds, other.seconds)

    def line(self) -> str:
        """The last line of `make matrix`."""
        return f"matrix: {self.cells} cells, {self.actions} actions, {len(self.disagreements)} disagree"


def run(
    server: Machine,
    client: Machine,
    choose: Callable[[list[Cell]], list[Cell]],
    say: Callable[[str], None],
    contained: int = 72,
) -> Outcome:
    """Run the cells that `choose` picks, round after round, and `contained` of them also in containers.

    Removes the exports, mounts and settings of the matrix from both machines afterwards.
    """
    begun = time.monotonic()
    groups = machines.make_accounts(server)
    outcome = Outcome(not_run=[asdict(group) for group in left_out(groups)])
    try:
        _rounds(server, client, choose(cells(groups)), outcome, contained, say)
    finally:
        machines.tear_down(server, client)
    outcome.seconds = round(time.monotonic() - begun, 1)
    return outcome


def _rounds(
    server: Machine,
    client: Machine,
    chosen: Sequence[Cell],
    outcome: Outcome,
    contained: int,
    say: Callable[[str], None],
) -> None:
    begun = time.monotonic()
    for machine in (server, client):
        machine.put("/root/carry_out.py", PROGRAM.read_text())
    machines.export(server, client, chosen)
    for name in ROUNDS:
        members = [cell for cell in chosen if cell.round == name]
        if not members:
            continue
        say(f"round: {name}, {len(members)} cells")
        machines.set_up(server, client, members, name)
        for batch in _batches(members):
            compare(batch, _live(server, client, batch), outcome)
            outcome.cells += len(batch)
            say(f"{outcome.line()} [{time.monotonic() - begun:.0f} s]")
        if name == "as installed":
            picked = containers.pick(members, contained)
            say(f"containers: {len(picked)} cells")
            images = containers.images(client, server, picked)
            for batch in _batches(picked, 16):
                compare(batch, _live(server, client, batch, images), outcome)
                outcome.in_containers += len(batch)
                say(f"containers: {outcome.in_containers} of {len(picked)} [{time.monotonic() - begun:.0f} s]")


def compare(members: Sequence[Cell], observed: Results, outcome: Outcome) -> None:
    """Add the observed result of each action to the outcome. Where a container did not start, its agent did nothing."""
    for cell in members:
        done = [action for action in ACTIONS if action in observed[cell.name]]
        for action, answer in live(cell.case, done).items():
            where = {"cell": cell.name, "action": action, "case": str(cell.case)}
            if answer.outcome == "unknown":
                outcome.not_run.append({**where, "why": answer.reason})
                continue
            outcome.actions += 1
            action_result = observed[cell.name][action]
            if action_result != answer.errno:
                outcome.disagreements.append(
                    {
                        **where,
                        "predicted": answer.errno or "allowed",
                        "seen": action_result or "allowed",
                        "rule": answer.reason,
                    }
                )
        for action in ACTIONS:
            if action not in done:
                where = {"cell": cell.name, "action": action, "case": str(cell.case)}
                outcome.not_run.append({**where, "why": NOT_STARTED})


def _live(server: Machine, client: Machine, batch: Sequence[Cell], images: containers.Images | None = None) -> Results:
    local = [cell for cell in batch if cell.variant == "local"]
    remote = [cell for cell in batch if cell.variant != "local"]
    observed: Results = {cell.name: {} for cell in batch}

    def work(machine: Machine, name: str, members: Sequence[Cell]) -> None:
        if not members:
            return
        request = json.dumps({"work": name, "cells": [machines.arguments(cell) for cell in members]})
        done = machine.run("python3 /root/carry_out.py", input=request, timeout=900)
        for cell, results in json.loads(done.stdout).items():
            if "broken" in results:
                raise RuntimeError(f"{name} of cell {cell}: {results['broken']}")
            observed[cell].update(results)

    work(server, "prepare", remote)
    work(client, "prepare", local)
    work(client, "create", batch)
    work(server, "chown", remote)
    work(client, "chown", local)
    client.succeed("echo 3 > /proc/sys/vm/drop_caches", timeout=300)
    if images is None:
        work(client, "life", batch)
    else:
        for name, results in containers.carry_out(client, images, batch).items():
            observed[name].update(results)
        work(client, "aftermath", batch)
    return observed


def _batches(members: Sequence[Cell], size: int = BATCH) -> Iterator[Sequence[Cell]]:
    for start in range(0, len(members), size):
        yield members[start : start + size]
