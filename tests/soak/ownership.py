"""Ownership of sessions: many that belong to root, agents that attack, and every change of strategy."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from typing import Any

from tests.e2e.fleet import PROJECT, Fleet
from tests.e2e.forging import assert_cannot_forge
from tests.e2e.guards import SCENARIOS, replace_tree_with_link
from tests.e2e.guards import prepare as prepare_guard
from tests.e2e.hostile_pods import attack_pods
from tests.e2e.sample import seed
from tests.e2e.strategies import SQUASH, SQUASH_ROOT, apply_strategy, change_strategy, changes_from
from tests.lab.lab import Lab
from tests.lab.shell import say
from tests.lab.topology import host, server
from tests.soak.cases import failing

HOST = "host-1000"

ROUNDS: tuple[tuple[str, int, list[str]], ...] = (
    ("at a local disk's speed", 60_000, []),
    ("with calls as slow as over NFS", 30_000, ["--latency", "0.3"]),
    ("with a directory of a million entries", 10_000, ["--huge", "1000000", "--depth", "5000"]),
)
"""Rounds of the attack: name, attempts, options."""


def hostile(_steps: Sequence[str]) -> dict[str, Any]:
    """An agent attacks the programs that chown, 100,000 times."""
    begun, number, counts = time.monotonic(), seed(), {}
    for what, attempts, options in ROUNDS:
        argv = ["--attempts", str(attempts), "--seed", str(number), *options]
        done = subprocess.run([sys.executable, "-m", "tests.hostile", *argv], cwd=PROJECT, stdout=subprocess.PIPE)
        counts[what] = json.loads(done.stdout.splitlines()[-1])
        say(f"{what}: {json.dumps(counts[what])}")
    return {
        "attempts": sum(each["attempts"] for each in counts.values()),
        "seed": number,
        "failed": sum(
            not each["passed"] or each["attempts"] < n for each, (_, n, _) in zip(counts.values(), ROUNDS, strict=True)
        ),
        "violations": sum(len(each["violations"]) for each in counts.values()),
        "ms_to_owner": {what: each["latency"] for what, each in counts.items()},
        "seconds": round(time.monotonic() - begun),
    }


def sessions(_steps: Sequence[str]) -> dict[str, Any]:
    """A run over a host with 10,000 sessions of root, while an agent runs in a session of its own."""
    with Lab("soak", (server(), host(HOST))).running(fresh=True) as lab:
        fleet = Fleet.of(lab, HOST)
        fleet.data[HOST]["nanoclaw_environment"] |= {"IDLE_TIMEOUT": "3600000"}
        fleet.deploy()
        fleet.send_message(HOST, "stay", session="kept")
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
        answered = fleet.send_message(HOST, "still there?", session="kept") == "echo: still there?"
    return {"entries": 40_000, "failed": wrong + (not kept) + (not answered), "seconds": seconds}


def strategies(_steps: Sequence[str]) -> dict[str, Any]:
    """Each change of strategy on a running host, each failure of a guard, and agents that forge requests.

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
    """Return how many cases ran on a host, and the names of those that failed."""
    fleet, start = Fleet.of(lab, name), SQUASH if name == HOST else SQUASH_ROOT
    fleet.deploy()
    cases: list[tuple[str, Callable[[], object]]] = []
    for before, to in pairwise((start, *changes_from(start))):
        cases.append((f"{name}: from {before} to {to}", partial(change_strategy, fleet, name, to)))
    for strategy in dict.fromkeys(changes_from(start)):
        cases.append((f"{name}: {strategy}", partial(apply_strategy, fleet, name, strategy)))
        cases.append((f"{name}: an agent that forges, {strategy}", partial(assert_cannot_forge, fleet, name)))
    cases.append((f"{name}: a host with a guard", partial(prepare_guard, fleet, name)))
    cases += [(f"{name}: the guard, {what}", partial(case, fleet, name)) for what, case in SCENARIOS.items()]
    cases.append((f"{name}: an agent that attacks on the pods", partial(attack_pods, fleet, name, 1000, seed())))
    if name != HOST:
        cases.append((f"{name}: a tree that is a link", partial(replace_tree_with_link, fleet, name)))
    return len(cases), failing(dict(cases))
