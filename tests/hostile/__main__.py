"""`python -m tests.hostile --attempts N --seed S`: attack guard and own_trees in a mount namespace of its own."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from tests.hostile import targets
from tests.hostile.place import Place
from tests.hostile.scenario import Order, Outcome, run_scenario

NEW_MOUNTS = 0x20000  # CLONE_NEWNS
PRIVATE, RECURSIVE = 1 << 18, 16384
PROGRAMS = ("both", "naive", *targets.BROKEN)


def in_own_mounts() -> bool:
    """Enter a new mount namespace (unshare(2)); return False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) != 0:
        return False
    return bool(libc.mount(b"none", b"/", None, ctypes.c_ulong(PRIVATE | RECURSIVE), None) == 0)


def attack(program: str, delay: float, order: Order) -> Outcome:
    """Run one scenario in a new directory. For a program with a fault, use the moves that reveal it."""
    known = targets.BROKEN.get(program)
    if known:
        order = replace(order, moves=list(known.moves), fair=False)
    if not in_own_mounts():
        order = replace(order, mounts=False, mounting=False)
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        base.chmod(0o711)
        place = Place(base / "v2-sessions", base / "groups", base / "outside", hostile=2)
        trees = place.sessions, place.groups
        if program == "naive":
            order = replace(order, repeated=[targets.naive(*trees)], fair=False)
        else:
            fault = targets.broken(known) if known else str
            slowed = targets.slowly(delay)
            change = (lambda text: slowed(fault(text))) if known or delay else None
            order.services.append(targets.guard(*trees, change))
            order.repeated.extend(targets.own_trees(*trees, change))
        try:
            return run_scenario(place, order, base)
        finally:
            subprocess.run(["rm", "-rf", "--one-file-system", *map(str, base.iterdir())], check=False)


def main(arguments: list[str]) -> int:
    """Attack, and print the outcome. The exit status is 0 only if it passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--attempts", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=int(time.time() // 86400))
    parser.add_argument("--seconds", type=float, default=3600, help="when attackers end at the latest")
    parser.add_argument("--program", choices=PROGRAMS, default="both", help="both are guard and own_trees; or a fault")
    parser.add_argument("--huge", type=int, default=3000, help="entries of the directory that is moved in and out")
    parser.add_argument("--depth", type=int, default=2500, help="levels of a nest in each hostile session")
    parser.add_argument("--latency", type=float, default=0, help="ms that each system call of theirs takes longer")
    parser.add_argument("--mounting", action="store_true", help="mount victims on new directories meanwhile, too")
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("needs root, to chown")
    order = Order(
        options.attempts,
        options.seed,
        options.seconds,
        huge=options.huge,
        depth=options.depth,
        mounting=options.mounting,
    )
    outcome = attack(options.program, options.latency / 1000, order)
    waits = ", ".join(f"{name} {value}" for name, value in outcome.latency.items())
    print(
        f"hostile: {outcome.attempts} attempts in {outcome.seconds} s, {len(outcome.violations)} violations, "
        f"{len(outcome.failures)} failures, {len(outcome.left)} left; new sessions of others (ms): {waits}"
    )
    print(json.dumps({**asdict(outcome), "passed": outcome.passed}))
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
