"""An agent that attacks guard and own_trees on a real host, in its session directory on NFS.

For a host with the strategy `chown`. The guard is the role's own service, and own_trees is the role's program with
the role's arguments. Victims lie on the same export and on the server beside it.
"""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tasks.bundle import bundle
from tasks.model.fleet.plan import BOUND
from tasks.model.ownership.guard import guard_unit
from tasks.model.ownership.trees import host_trees
from tests.e2e.fleet import Fleet
from tests.hostile.targets import scan_then_chown
from tests.lab.shell import say

MODULES = (
    "__init__",
    "attacker",
    "attacker_process",
    "invariants",
    "latency",
    "place",
    "root_host",
    "running",
    "scenario",
)
FOLDER = "/root/hostile"
SECONDS = 240
SMALL = {"depth": 200, "huge": 200}
SERVER_VICTIM = "/srv/victim"


def attack_pods(fleet: Fleet, name: str, attempts: int, seed: int) -> dict[str, Any]:
    """Attack, check the invariants, clean up, and return the outcome."""
    host, server, plan = fleet.lab[name], fleet.lab["server"], fleet.host(name)
    assert plan.strategy.name == "chown" and plan.source
    source, pods = plan.source.path, plan.settings.pods_path
    outside = f"{pods}/hostile-outside"
    for module in MODULES:
        text = Path(__file__).parents[1].joinpath("hostile", f"{module}.py").read_text(encoding="utf-8")
        host.put(f"{FOLDER}/tests/hostile/{module}.py", text)
    archive = base64.b64encode(bundle("trees.main")).decode()
    host.run(f"base64 --decode >{FOLDER}/own_trees.pyz", input=archive)
    # All paths use one mount, since a hard link cannot leave it. The guard has mounts of its own.
    sessions, groups = (plan.sessions, plan.groups) if plan.root_on_pods else (f"{pods}/{each}" for each in BOUND)
    paths = {plan.sessions: sessions, plan.groups: groups}
    at = {"within": pods, "mount": pods}
    trees = [{**asdict(tree.request()), **at, "path": paths[tree.path]} for tree in host_trees(plan)]
    own = ["python3", "-I", f"{FOLDER}/own_trees.pyz", "trees.main"]
    order = {
        **{"attempts": attempts, "seed": seed, "seconds": SECONDS, **SMALL},
        "repeated": [scan_then_chown(own, trees), [*own, json.dumps({"apply": True, "trees": trees})]],
    }
    request = {"order": order, "sessions": sessions, "groups": groups, "outside": outside, "base": pods}
    host.succeed(f"mkdir {outside}")
    list_victims = f"find {SERVER_VICTIM} -printf '%p %i %U %G %m %n %C@\\n' | sort"
    listing = server.succeed(f"mkdir -p {SERVER_VICTIM}/d0 && touch {SERVER_VICTIM}/d0/secret && {list_victims}")
    guard = f"systemctl show -p MainPID -p NRestarts {guard_unit(plan)}"
    guard_before = host.succeed(guard)
    assert "MainPID=0" not in guard_before
    try:
        command = shlex.join(["python3", "-m", "tests.hostile.scenario", json.dumps(request)])
        output = host.succeed(f"cd {FOLDER} && {command}", timeout=SECONDS + 600)
        chowned = server.succeed(f"find {source}/hostile-outside/victims {source}/hostile-outside/bound ! -uid 0")
        outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
    finally:
        leftovers = f"{sessions}/hostile-* {sessions}/fair-* {groups}/hostile-* {outside} {FOLDER}"
        host.run(f"rm -rf --one-file-system {leftovers}", check=False, timeout=300)
    say(f"{name}: {json.dumps(outcome)}")
    assert outcome["passed"], outcome
    assert outcome["attempts"] > 0 and not outcome["not_mounted"]
    assert chowned == "", "root's files were chowned on the server"
    assert server.succeed(list_victims) == listing
    assert host.succeed(guard) == guard_before, "the guard stopped or restarted"
    return outcome
