"""`make soak`: what CI runs a sample of, whole. Prints a summary and writes it to build/soak.json.

`python -m tests.soak PART…` runs some parts alone; the summary keeps what the others came to before. `--every N` takes
accidents in each Nth step only, and says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.bad_v1 import (
    BAD,
    refused,
    refused_for_room_that_a_first_run_finds_out,
    refused_while_one_is_under_way,
)
from tests.e2e.fleet import HOST_KINDS, PROJECT, Fleet
from tests.e2e.forging import cannot_forge
from tests.e2e.guards import SCENARIOS, tree_that_is_a_link
from tests.e2e.guards import prepare as prepare_guard
from tests.e2e.interruptions import KINDS, STEPS
from tests.e2e.migrations import accidents_in, prepare, waves_end_at_the_first_failure
from tests.e2e.sample import ALL
from tests.e2e.strategies import SQUASH, SQUASH_ROOT, change, lap, settle
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.shell import say
from tests.lab.topology import host, server
from tests.matrix.__main__ import RESULT as MATRIX
from tests.matrix.__main__ import main as run_matrix

RESULT = PROJECT / "build" / "soak.json"
HOST = "host-1000"
ONE_HOST = (server(), host(HOST))
LABS = 2
SIX_HOSTS = (server(), *(host(f"{name}{more}") for more in ("", "-2") for name in HOST_KINDS))


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


def waves(_every: int) -> dict[str, Any]:
    """Six hosts, among them a v1 on NFS: a canary, then two a wave, the third of which fails its gate at first."""
    begun, failed = time.monotonic(), 0
    with Lab("soak", SIX_HOSTS).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.of(lab, *(spec.name for spec in SIX_HOSTS if spec.docker))
        prepare(fleet, fleet.hosts, Path(folder))
        try:
            waves_end_at_the_first_failure(fleet)
        except Exception:  # the summary says so, and other parts go on
            failed = 1
            say(traceback.format_exc())
    return {"hosts": len(fleet.hosts), "failed": failed, "seconds": round(time.monotonic() - begun)}


def refusals(_every: int) -> dict[str, Any]:
    """Each v1 that cannot be migrated as it is, and a second run while one migrates."""
    begun, failed = time.monotonic(), []
    with Lab("soak", ONE_HOST).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.of(lab, HOST)
        prepare(fleet, [HOST], Path(folder))
        fleet.deploy("--limit", "server")
        cases: dict[str, Callable[[], None]] = {bad.what: partial(refused, fleet, HOST, bad) for bad in BAD}
        cases["no room at the server"] = partial(refused_for_room_that_a_first_run_finds_out, fleet, HOST)
        cases["one under way"] = partial(refused_while_one_is_under_way, fleet, HOST)
        for what, case in cases.items():
            try:
                case()
            except Exception:  # the next one is tried all the same
                failed.append(what)
                say(f"{what}: FAILED\n{traceback.format_exc(limit=3)}")
    seconds = round(time.monotonic() - begun)
    return {"tried": len(cases), "failed": len(failed), "which": failed, "seconds": seconds}


def accidents(every: int) -> dict[str, Any]:
    """A migration with each accident in each step: a v1 or a v2 serves, the next run ends in v2, nothing is lost.

    Two labs share the steps: what a machine of theirs does is done by one processor.
    """
    begun, steps = time.monotonic(), STEPS[::every]
    with ExitStack() as stack:
        labs = [stack.enter_context(Lab(f"soak-{n}", ONE_HOST).running(fresh=True)) for n in range(LABS)]
        with ThreadPoolExecutor(LABS) as pool:
            shares = pool.map(_accidents, labs, [steps[n::LABS] for n in range(LABS)])
            failed = [step for share in shares for step in share]
    seconds = round(time.monotonic() - begun)
    counts = {"steps": len(steps), "of": len(STEPS), "accidents": len(steps) * len(KINDS)}
    return {**counts, "failed": len(failed), "which": failed, "seconds": seconds}


def _accidents(lab: Lab, steps: Sequence[str]) -> list[str]:
    """The steps in which something went wrong, of those that one lab tries."""
    fleet = Fleet.of(lab, HOST)
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        ready = False
        for step in steps:
            try:
                if not ready:  # at the start, and after a failure
                    prepare(fleet, [HOST], Path(folder) / str(len(failed)))
                    fleet.deploy()
                ready = False
                accidents_in(fleet, HOST, step)
                ready = True
                say(f"{lab.name}: {step!r}: nothing was lost")
            except Exception:  # the next step is tried all the same
                failed.append(step)
                say(f"{lab.name}: {step!r}: FAILED\n{traceback.format_exc(limit=3)}")
    return failed


def sessions(_every: int) -> dict[str, Any]:
    """An ordinary run over a host on which 10,000 sessions are root's, while an agent runs in one that is right."""
    with Lab("soak", ONE_HOST).running(fresh=True) as lab:
        fleet = Fleet.of(lab, HOST)
        fleet.data[HOST]["nanoclaw_environment"] |= {"IDLE_TIMEOUT": "3600000"}
        fleet.deploy()
        fleet.ask(HOST, "stay", session="kept")
        running = lab[HOST].succeed("docker ps --quiet --no-trunc")
        tree = f"/srv/pods/{HOST}/v2-sessions"
        made = (
            f"mkdir -p {tree}/ag-old && cd {tree}/ag-old && seq -f sess-%.0f/outbox 10000 | xargs mkdir -p && "
            "seq -f sess-%.0f/inbound.db 10000 | xargs touch && seq -f sess-%.0f/outbound.db 10000 | xargs touch"
        )
        lab["server"].succeed(made, timeout=900)
        begun = time.monotonic()
        fleet.deploy()
        seconds = round(time.monotonic() - begun)
        owner = fleet.host(HOST).stored_agent.uid
        wrong = int(lab["server"].succeed(f"find {tree} ! -uid {owner} | wc -l", timeout=300))
        kept = lab[HOST].succeed("docker ps --quiet --no-trunc") == running
        answered = fleet.ask(HOST, "still there?", session="kept") == "echo: still there?"
    return {"entries": 40_000, "failed": wrong + (not kept) + (not answered), "seconds": seconds}


def scenarios(_every: int) -> dict[str, Any]:
    """Every scenario of tests/e2e, those of other days too."""
    begun = time.monotonic()
    words = [sys.executable, "-m", "pytest", "-q", "tests/e2e"]
    done = subprocess.run(words, cwd=PROJECT, env={**os.environ, ALL: "all"}, check=False)
    return {"failed": done.returncode, "seconds": round(time.monotonic() - begun)}


ROUNDS: tuple[tuple[str, int, list[str]], ...] = (
    ("at a local disk's speed", 60_000, []),
    ("with calls as slow as over NFS", 30_000, ["--latency", "0.3"]),
    ("with a directory of a million entries", 10_000, ["--huge", "1000000", "--depth", "5000"]),
)
"""Of the attack: what is tried, how often, with which options."""


def hostile(_every: int) -> dict[str, Any]:
    """An agent attacks the programs that give owners, 100,000 times."""
    begun, seed, found = time.monotonic(), int(time.time() // 86400), {}
    for what, attempts, options in ROUNDS:
        words = ["--attempts", str(attempts), "--seed", str(seed), *options]
        done = subprocess.run([sys.executable, "-m", "tests.hostile", *words], cwd=PROJECT, stdout=subprocess.PIPE)
        found[what] = json.loads(done.stdout.splitlines()[-1])
        say(f"{what}: {json.dumps(found[what])}")
    return {
        "attempts": sum(each["attempts"] for each in found.values()),
        "seed": seed,
        "failed": sum(
            not each["passed"] or each["attempts"] < n for each, (_, n, _) in zip(found.values(), ROUNDS, strict=True)
        ),
        "violations": sum(len(each["violations"]) for each in found.values()),
        "ms_to_owner": {what: each["fairness"] for what, each in found.items()},
        "seconds": round(time.monotonic() - begun),
    }


def strategies(_every: int) -> dict[str, Any]:
    """Each change from one strategy to another on a living host, all that happens to a guard, and agents that forge.

    Two labs, one for each kind of project root: local, and on the pods.
    """
    begun, names = time.monotonic(), (HOST, "host-root")
    with ExitStack() as stack:
        shares = []
        with ThreadPoolExecutor(len(names)) as pool:
            for name in names:
                lab = Lab(f"soak-{name}", (server(), host(name)))
                shares.append(pool.submit(_strategies, stack.enter_context(lab.running(fresh=True)), name))
            results = [share.result() for share in shares]
    failed = [what for _tried, share in results for what in share]
    seconds = round(time.monotonic() - begun)
    return {"tried": sum(tried for tried, _ in results), "failed": len(failed), "which": failed, "seconds": seconds}


def _strategies(lab: Lab, name: str) -> tuple[int, list[str]]:
    """How many things were tried on a host, and which of them failed."""
    fleet, start = Fleet.of(lab, name), SQUASH if name == HOST else SQUASH_ROOT
    fleet.deploy()
    cases: list[tuple[str, Callable[[], object]]] = []
    for before, to in pairwise((start, *lap(start))):
        cases.append((f"{name}: from {before} to {to}", partial(change, fleet, name, to)))
    for strategy in dict.fromkeys(lap(start)):
        cases.append((f"{name}: {strategy}", partial(settle, fleet, name, strategy)))
        cases.append((f"{name}: an agent that forges, {strategy}", partial(cannot_forge, fleet, name)))
    cases.append((f"{name}: a host with a guard", partial(prepare_guard, fleet, name)))
    cases += [(f"{name}: the guard, {what}", partial(case, fleet, name)) for what, case in SCENARIOS.items()]
    if name != HOST:
        cases.append((f"{name}: a tree that is a link", partial(tree_that_is_a_link, fleet, name)))
    failed = []
    for what, case in cases:
        try:
            case()
            say(what)
        except Exception:  # the next one is tried all the same
            failed.append(what)
            say(f"{what}: FAILED\n{traceback.format_exc(limit=3)}")
    return len(cases), failed


PARTS = {part.__name__: part for part in (scenarios, matrix, hostile, strategies, sessions, waves, refusals, accidents)}


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
