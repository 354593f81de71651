"""A tree on a machine of the lab: made, made wrong, and given back by contestants while it is watched."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.bench.contestants import AGENT
from tests.bench.figures import between, rpcs
from tests.lab.errors import LabError
from tests.lab.machine import Machine
from tests.lab.shell import say

PROGRAMS = Path(__file__).parent / "programs"
FOLDER = "/root/bench"
LIMIT = 2400
"""Seconds that a contestant may take; then it is ended, and the document says so."""


def put(machine: Machine, *names: str) -> None:
    """Puts programs on a machine."""
    for name in names:
        machine.put(f"{FOLDER}/{name}.py", (PROGRAMS / f"{name}.py").read_text(encoding="utf-8"))


@dataclass
class Tree:
    """One tree, as `machine` sees it at `path`, and as `disk` has it on its own file system at `stored`."""

    machine: Machine
    path: str
    disk: Machine
    stored: str
    mount: str | None = None
    """Where `machine` has it mounted over NFS; None where both are the same."""
    entries: int = 0
    output: Sequence[str] = ()
    """The last lines of what ran last on the machine."""
    state: str = ""
    """The case that the tree is in, as far as is known: a contestant may have changed it."""

    def make(self, entries: int) -> None:
        """Makes it anew as the agent's: nobody ever gave its entries away."""
        put(self.disk, "make_trees")
        folder = shlex.quote(str(Path(self.stored).parent))
        command = f"mkdir -p {folder} && chown {AGENT}:{AGENT} {folder} && cp {FOLDER}/make_trees.py /run/make_trees.py"
        made = (
            f"setpriv --reuid={AGENT} --regid={AGENT} --clear-groups python3 /run/make_trees.py {self.stored} {entries}"
        )
        self.entries = int(self.disk.succeed(f"{command} && {made}", timeout=3600))
        self.state = "nothing"

    def served(self) -> Tree:
        """The same tree as its server has it, on its own disk."""
        return replace(self, machine=self.disk, path=self.stored, mount=None)

    @property
    def wrong(self) -> int:
        """How many entries the case "some" makes wrong."""
        return (self.entries - 1) // 100

    def bring_to(self, case: str) -> None:
        """Brings it into a case: nothing to do; one in a hundred entries root's, everywhere; all root's."""
        if self.state == case:
            return
        commands = {
            "nothing": f"chown -hR {AGENT}:{AGENT} {self.stored}",
            "some": f"xargs -d '\\n' chown -h 0:0 < {self.stored}.some",
            "all": f"chown -hR 0:0 {self.stored}",
        }
        if case == "some":
            self.bring_to("nothing")
        self.disk.succeed(commands[case], timeout=3600)
        self.state = case

    def forget(self) -> None:
        """Empties the caches of the machine, and of the server: what is measured next is cold."""
        for machine in {self.machine.name: self.machine, self.disk.name: self.disk}.values():
            machine.succeed("sync && echo 3 > /proc/sys/vm/drop_caches", timeout=600)
        if self.mount:  # what the mount itself still knows
            self.machine.succeed(f"stat -f {self.mount}")

    def sent(self) -> dict[str, int]:
        """RPCs that the machine has sent for the mount so far."""
        return rpcs(self.machine.succeed("cat /proc/self/mountstats"), self.mount) if self.mount else {}

    def watched(self, run: Callable[[], dict[str, Any]], *, cold: bool, count_touched: bool) -> dict[str, Any]:
        """What a run took, what it sent, and what is different after it.

        + count_touched: whether to count what was touched, which is a walk over the whole tree
        """
        mark = f"{self.stored}.mark"
        self.disk.succeed(f"sleep 0.1 && touch {mark} && sleep 0.1")
        if cold:
            self.forget()
        before = self.sent()
        figures = run()
        if self.mount:
            figures["rpcs"] = between(before, self.sent())
        if count_touched:
            owned = f"! -uid {AGENT} -o ! -gid {AGENT}"
            listed = f"find {self.stored} -xdev \\( -cnewer {mark} -printf t \\) , \\( \\( {owned} \\) -printf w \\)"
            marks = self.disk.succeed(f"{listed} | sed 's/[^tw]//g' | fold -w 1 | sort | uniq -c", timeout=3600)
            counts = {word: int(number) for number, word in (line.split() for line in marks.splitlines())}
            figures |= {"touched": counts.get("t", 0), "left_wrong": counts.get("w", 0)}
        return {"cold": cold, **figures}

    def on_machine(self, argv: list[str]) -> dict[str, Any]:
        """Runs a command on the machine, which says itself how long that took."""
        request = json.dumps({"argv": argv, "limit": LIMIT})
        done = self.machine.run(f"python3 {FOLDER}/measured.py", input=request, timeout=LIMIT + 120)
        figures: dict[str, Any] = json.loads(done.stdout)
        if figures["exit"] not in (0, None):
            raise LabError(f"`{argv[0]}` ended with {figures['exit']}: {figures['said']}")
        if figures.pop("exit") is None:
            return {"not_measured": f"it was ended after {LIMIT} s", "largest_kb": figures["largest_kb"]}
        self.output = figures.pop("said")
        return figures

    def from_controller(self, argv: list[str], environment: Mapping[str, str], folder: Path) -> dict[str, Any]:
        """Runs a command of the controller, with its start."""
        begun = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                env=dict(environment),
                capture_output=True,
                text=True,
                timeout=LIMIT,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return {"not_measured": f"it was ended after {LIMIT} s"}
        if done.returncode != 0:
            raise LabError(f"`{Path(argv[0]).name}` ended with {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
        return {"seconds": round(time.monotonic() - begun, 2)}

    def tell(self, case: str, who: str, figures: Mapping[str, Any]) -> None:
        """One progress line."""
        say(f"{self.entries} entries, {case} wrong, {who}: {json.dumps(figures)}")
