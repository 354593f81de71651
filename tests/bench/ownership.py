"""What it costs to give trees to their agent: ours, others', and the limit; on a local disk and over NFS."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from files.pods.common.protocol import decode
from files.pods.trees.protocol import TreesReply
from tests.bench import contestants
from tests.bench.contestants import ACCOUNT, AGENT, Controller
from tests.bench.figures import at, ratios
from tests.bench.trees import Tree, put
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.topology import MachineSpec, server

HOST = "host-1000"
MEMORY, DISK = 3072, 8
"""MiB of the host, in which the metadata of a million entries fit, and GB of the disk that holds them."""
SERVED = "/srv/pods"
MOUNTED = "/mnt/pods"
EVERY = ("find", "find_owners", "ours", "chown", "pyinfra", "ansible")
CASES = ("nothing", "some", "all")


@dataclass(frozen=True)
class Plan:
    """Which contestants are measured in which case over a tree of a size; `left_out` says why not the others."""

    entries: int
    nothing: Sequence[str] = EVERY
    some: Sequence[str] = ("ours", "chown", "pyinfra", "ansible")
    all: Sequence[str] = ("ours", "chown", "pyinfra", "ansible")
    left_out: str = ""
    count_touched: Sequence[str] = EVERY
    """Of these, what they touched is counted."""


LOCAL = (
    Plan(10_000, nothing=("find", "find_owners", "ours"), some=("ours",), all=("ours",), left_out="here for memory"),
    Plan(100_000),
    Plan(
        1_000_000,
        nothing=("find", "find_owners", "ours", "chown"),
        some=("ours", "chown"),
        all=("ours",),
        left_out=(
            "pyinfra is a stat(2) or chown -R; Ansible's time for each entry, and that of giving each, are told by "
            "100,000 entries: each would take half an hour here"
        ),
        count_touched=("ours",),
    ),
)
NFS = (
    Plan(20_000),
    Plan(
        200_000,
        nothing=("find", "find_owners", "ours", "served", "chown"),
        some=("ours",),
        all=("ours", "served", "chown"),
        left_out=(
            "chown -R sends the same with some wrong; pyinfra is a stat(2) or chown -R; Ansible's time for each entry "
            "is told by 20,000"
        ),
        count_touched=("ours", "served"),
    ),
)

WHAT = (
    "trees like NanoClaw's: agent groups of 12 sessions, each with inbox and outbox of 10 files; made by the agent. "
    "nothing: all is right. some: one in a hundred entries is root's, everywhere. all: all are root's. seconds: on the "
    "machine itself, for pyinfra and Ansible on the controller. cold: the caches of host and server were emptied "
    "before. touched: entries with a ctime newer than the start. left_wrong: entries that were not the agent's "
    "afterwards. rpcs: sent by the NFS client (mountstats). largest_kb: the peak memory of the largest process, "
    "tree_kb: of all together. The lab's machines are slow in system calls: compare within one tree only"
)


def measure_local(plans: Sequence[Plan], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """On a host's own disk; says why where that cannot be."""
    with Lab("bench-own-local", (MachineSpec(HOST, MEMORY, disk=DISK),)).running(fresh=True) as lab:
        machine = lab[HOST]
        _prepare(machine, machine, "/data", max(plan.entries for plan in plans))
        return _document([(plan, Tree(machine, "/data/t/tree", machine, "/data/t/tree")) for plan in plans], lab, keep)


def measure_nfs(plans: Sequence[Plan], keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Over NFS, from an export in which root stays root."""
    topology = (replace(server(), disk=DISK), MachineSpec(HOST, MEMORY // 2))
    with Lab("bench-own-nfs", topology).running(fresh=True) as lab:
        machine, disk = lab[HOST], lab["server"]
        _prepare(machine, disk, SERVED, max(plan.entries for plan in plans))
        options = "rw,no_root_squash,sync,no_subtree_check"
        put(disk, "measured")
        disk.succeed(f"systemctl start nfs-server && exportfs -o {options} {machine.address}:{SERVED}")
        machine.succeed(f"mkdir -p {MOUNTED} && mount -t nfs -o vers=4.2 {disk.address}:{SERVED} {MOUNTED}")
        trees = [(plan, Tree(machine, f"{MOUNTED}/t/tree", disk, f"{SERVED}/t/tree", MOUNTED)) for plan in plans]
        return _document(trees, lab, keep)


def _prepare(machine: Machine, disk: Machine, folder: str, entries: int) -> None:
    """A file system with enough inodes, the account that others go by, and the programs."""
    inodes = entries + entries // 4 + 10_000
    disk.succeed(f"mkfs.ext4 -q -N {inodes} /dev/ubdb && mkdir -p {folder} && mount /dev/ubdb {folder}", timeout=600)
    machine.succeed(f"useradd --no-create-home --uid {AGENT} {ACCOUNT}")
    put(machine, "measured")


def _document(trees: Sequence[tuple[Plan, Tree]], lab: Lab, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """All trees, one after the other; `keep` is given what there is after each case."""
    figures: dict[str, Any] = {}
    document: dict[str, Any] = {"what": WHAT, "contestants": contestants.WHAT, "trees": figures}
    with _controller(lab) as (controller, ansible):
        document["ansible"] = ansible
        for plan, tree in trees:
            tree.disk.succeed(f"rm -rf {tree.stored} {tree.stored}.*", timeout=3600)
            tree.make(plan.entries)
            of = figures[str(plan.entries)] = {"entries": tree.entries, "wrong_in_some": tree.wrong}
            of["left_out"] = _left_out(plan)
            cases: dict[str, Any] = {}
            for case in CASES:
                of[case] = cases[case] = _case(tree, plan, case, controller, ansible)
                of["ratios"] = ratios(cases, tree.wrong)
                keep(document)
    return {**document, "memory_kb": _memory(figures)}


def _memory(trees: dict[str, Any]) -> dict[str, Any]:
    """The peak of the fact and of the operation, by the size of the tree."""
    requests = {"look": ("nothing", "ours", "look"), "apply": ("all", "ours", "apply")}
    return {size: {what: at(of, *keys, "tree_kb") for what, keys in requests.items()} for size, of in trees.items()}


@contextmanager
def _controller(lab: Lab) -> Iterator[tuple[Controller, str]]:
    """The controller's contestants, and the version of Ansible, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        controller = Controller(lab[HOST], Path(folder))
        try:
            yield controller, controller.install_ansible()
        except LabError as error:
            yield controller, f"not measured: {error}"


def _left_out(plan: Plan) -> dict[str, Any]:
    """What is not measured over this tree, and why."""
    missing = {case: [who for who in getattr(Plan(0), case) if who not in getattr(plan, case)] for case in CASES}
    left = {case: names for case, names in missing.items() if names}
    return {"why": plan.left_out, **left} if left else {}


def _case(tree: Tree, plan: Plan, case: str, controller: Controller, ansible: str) -> dict[str, Any]:
    """All contestants in one case; one that fails is said, and the next is measured."""
    figures: dict[str, Any] = {}
    for who in getattr(plan, case):
        try:
            tree.bring_to(case)
            if who == "ansible" and ansible.startswith("not measured"):
                figures[who] = {"not_measured": ansible}
                continue
            figures[who] = _one(tree, who, case, controller, count_touched=who in plan.count_touched)
        except (LabError, OSError, subprocess.SubprocessError) as error:
            figures[who], tree.state = {"not_measured": str(error)[-1000:]}, ""
        tree.tell(case, who, figures[who])
    return figures


def _one(tree: Tree, who: str, case: str, controller: Controller, *, count_touched: bool) -> dict[str, Any]:
    """One contestant, cold."""
    if who == "ours":
        return _ours(tree, case, count_touched=count_touched)
    if who == "served":
        served = tree.served()
        figures = _ours(served, case, count_touched=count_touched)
        tree.state = served.state
        return figures
    if who in ("pyinfra", "ansible"):
        argv = getattr(controller, who)(tree.path)

        def run() -> dict[str, Any]:
            return tree.from_controller(argv, controller.environment(), controller.folder)
    else:
        argv = getattr(contestants, who)(tree.path)

        def run() -> dict[str, Any]:
            return tree.on_machine(argv)

    figures = tree.watched(run, cold=True, count_touched=count_touched and who not in ("find", "find_owners"))
    if case != "nothing":
        tree.state = "nothing" if figures.get("left_wrong") == 0 else ""
    return figures


def _ours(tree: Tree, case: str, *, count_touched: bool) -> dict[str, Any]:
    """The scan alone, and what a run is: the scan, and what it makes necessary."""
    scan_argv = contestants.ours(tree.path, apply=False, anchor=tree.mount)
    count = count_touched and case == "nothing"
    scan = tree.watched(lambda: tree.on_machine(scan_argv), cold=True, count_touched=count)
    if case == "nothing":
        return {"look": scan, "run": scan}
    names = decode(TreesReply, json.loads(tree.output[-1]), "trees").trees[0].names
    apply_argv = contestants.ours(tree.path, apply=True, anchor=tree.mount, names=names)
    apply = tree.watched(lambda: tree.on_machine(apply_argv), cold=False, count_touched=count_touched)
    apply["named"] = names is not None
    tree.state = "nothing" if apply.get("left_wrong") == 0 else ""
    run: dict[str, Any] = {key: apply[key] for key in ("touched", "left_wrong") if key in apply}
    if "seconds" in scan and "seconds" in apply:
        run["seconds"] = round(scan["seconds"] + apply["seconds"], 2)
    if tree.mount:
        calls = sorted(set(scan["rpcs"]) | set(apply["rpcs"]))
        run["rpcs"] = {name: scan["rpcs"].get(name, 0) + apply["rpcs"].get(name, 0) for name in calls}
    return {"look": scan, "apply": apply, "run": run}


def sentence(document: dict[str, Any]) -> str:
    """The ratios in some lines."""
    if "not_measured" in document:
        return f"ownership: not measured: {document['not_measured']}"
    lines = []
    for size, tree in document["trees"].items():
        ratios = ", ".join(f"{name} {value}" for name, value in tree["ratios"].items() if value is not None)
        lines.append(f"ownership of {size} entries: {ratios}")
    return "\n".join([*lines, f"peak memory in kB: {document['memory_kb']}"])
