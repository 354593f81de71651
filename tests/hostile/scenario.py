"""One scenario: the programs that chown, an agent that attacks them, and the invariants that must hold.

As a program it takes an `Order` and the paths as JSON, and prints the outcome as JSON. The lab uses it so.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile import latency, root_host
from tests.hostile.attacker import Attacker
from tests.hostile.invariants import left_over
from tests.hostile.place import AGENT, Place
from tests.hostile.running import Repeated, Service

CHECK_PERIOD = 0.2  # seconds between two checks of the invariants
MOST = 10  # violations that are shown
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Order:
    """The work of one run. `services` run all the time, `repeated` again and again; both are argument lists."""

    attempts: int
    seed: int
    seconds: float
    """When the attackers end though they have not made their attempts."""
    services: list[list[str]] = field(default_factory=list)
    repeated: list[list[str]] = field(default_factory=list)
    hostile: int = 2
    """Hostile sessions, with one attacker each."""
    huge: int = 3000
    depth: int = 2500
    fair: bool = True
    """Whether new sessions of others are timed."""
    moves: list[str] = field(default_factory=list)
    """The only moves of the attackers; all where there is none."""
    mounts: bool = True
    """Whether victims are mounted in the sessions before the programs start."""
    mounting: bool = False
    """Whether victims are mounted on new directories meanwhile, too."""


@dataclass
class Outcome:
    """The result of a scenario. Only `violations` is about safety."""

    seed: int
    attempts: int = 0
    tried: int = 0
    seconds: float = 0
    violations: list[str] = field(default_factory=list)
    made: int = 0
    """Entries that the host process created in hostile directories."""
    runs: int = 0
    """Runs of the repeated programs, the last one after the attack included."""
    failures: list[str] = field(default_factory=list)
    """Programs that failed: what an agent could do to an operator's run."""
    left: list[str] = field(default_factory=list)
    """Entries that were not chowned although the attack had ended."""
    latency: dict[str, float] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)
    not_mounted: str = ""
    """Why nothing could be mounted, so that mounts were not tested."""

    @property
    def passed(self) -> bool:
        return not (self.violations or self.failures or self.left)


class Attackers:
    """The attackers' processes and their progress."""

    def __init__(self, place: Place, order: Order, base: Path) -> None:
        self.counters: list[Path] = []
        self.answers = FORK.SimpleQueue()
        self.processes = []
        for number, (session, group) in enumerate(place.ways):
            counter = place.outside / f"counter-{number}"
            counter.write_bytes(bytes(8))
            os.chown(counter, AGENT, AGENT)
            self.counters.append(counter)
            orders = {
                **{"seed": order.seed * 100 + number, "attempts": -(-order.attempts // len(place.ways))},
                **{"victims": str(place.victims), "huge": order.huge, "depth": order.depth, "seconds": order.seconds},
                "moves": order.moves,
            }
            paths = {"session": session, "group": group, "common": place.common, "counter": counter}
            orders |= {name: str(path.relative_to(base)) for name, path in paths.items()}
            self.processes.append(FORK.Process(target=self._attack, args=(base, orders)))
            self.processes[-1].start()

    def _attack(self, base: Path, order: dict[str, Any]) -> None:
        """Attack in a process that takes the ids of the agent for good."""
        os.chdir(base)  # while it still may: what is above may be closed to others
        os.setgroups([])
        os.setresgid(AGENT, AGENT, AGENT)
        os.setresuid(AGENT, AGENT, AGENT)
        self.answers.put(Attacker(order).run())

    @property
    def landed(self) -> int:
        return sum(int.from_bytes(counter.read_bytes(), "little") for counter in self.counters)

    @property
    def at_work(self) -> bool:
        return any(process.is_alive() for process in self.processes)

    def end(self, outcome: Outcome) -> None:
        """Wait for the attackers, or kill them after a violation, and add up their moves."""
        moves: Counter[str] = Counter()
        for process in self.processes:
            if outcome.violations:
                process.kill()
            process.join()
        while not self.answers.empty():
            answer = self.answers.get()
            moves.update(answer["landed"])
            outcome.tried += answer["tried"]
        if not outcome.violations and any(process.exitcode for process in self.processes):
            raise RuntimeError("an attacker did not attack to the end")
        outcome.attempts, outcome.moves = self.landed, dict(moves)


def run_scenario(place: Place, order: Order, base: Path) -> Outcome:
    """Attack until all attempts were made or an invariant is broken. `base` is a directory above everything."""
    outcome = Outcome(order.seed)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    place.build(order.mounts)
    outcome.not_mounted = place.why_not_mounted
    stop, made, waits = FORK.Event(), FORK.Value("q", 0), FORK.SimpleQueue()
    helpers = [
        FORK.Process(target=root_host.run, args=(place, order.seed, order.mounting, stop.is_set, made)),
        FORK.Process(target=latency.run, args=(place.sessions, AGENT, stop.is_set, waits)),
    ]
    services = [Service(argv) for argv in order.services]
    repeated = Repeated(order.repeated)
    seconds: list[float] = []
    helpers = helpers if order.fair else helpers[:1]
    try:
        for process in helpers:
            process.start()
        attackers, begun = Attackers(place, order, base), time.monotonic()
        while attackers.at_work and not outcome.violations:
            time.sleep(CHECK_PERIOD)
            _judge(place, outcome, attackers.landed)
            while not waits.empty():
                seconds.append(waits.get())
        attackers.end(outcome)
        outcome.seconds = round(time.monotonic() - begun, 1)
    finally:
        stop.set()
        for process in helpers:
            process.join(2 * latency.TIME_LIMIT)
        while not waits.empty():
            seconds.append(waits.get())
        for service in services:
            outcome.failures += service.end()
        outcome.failures += repeated.end()
    outcome.made, outcome.runs, outcome.latency = made.value, repeated.runs, latency.summary(seconds)
    _judge(place, outcome, outcome.attempts)
    place.invariants.close()
    place.unmount_all()
    if not outcome.violations:
        outcome.left = [path for tree in (place.sessions, place.groups) for path in left_over(str(tree))][:20]
    return outcome


def _judge(place: Place, outcome: Outcome, attempts: int) -> None:
    if not outcome.violations:
        outcome.violations = [
            f"seed {outcome.seed}, attempt {attempts}: {what}" for what in place.invariants.broken()[:MOST]
        ]


def main() -> None:
    request = json.loads(sys.argv[1])
    order = Order(**request["order"])
    place = Place(Path(request["sessions"]), Path(request["groups"]), Path(request["outside"]), order.hostile)
    outcome = run_scenario(place, order, Path(request["base"]))
    print(json.dumps({**asdict(outcome), "passed": outcome.passed}))


if __name__ == "__main__":
    main()
