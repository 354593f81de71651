"""Migrations from NanoClaw v1: installs that are refused, waves, and an accident in each step."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e.bad_v1 import (
    assert_full_server_is_refused,
    assert_refused,
    assert_second_run_is_refused,
    refused_cases,
)
from tests.e2e.fleet import HOST_KINDS, Fleet
from tests.e2e.interruptions import KINDS, STEPS
from tests.e2e.migrations import assert_waves_stop_at_first_failure, interrupt_in_each_way, prepare
from tests.lab.lab import Lab
from tests.lab.shell import say
from tests.lab.topology import host, server
from tests.soak.cases import failing

HOST = "host-1000"
ONE_HOST = (server(), host(HOST))
LABS = 2
SIX_HOSTS = (server(), *(host(f"{name}{more}") for more in ("", "-2") for name in HOST_KINDS))


def waves(_steps: Sequence[str]) -> dict[str, Any]:
    """Six hosts, one of them with v1 on NFS: a canary, then two hosts a wave. The third host first fails its gate."""
    begun = time.monotonic()
    with Lab("soak-six", SIX_HOSTS).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.of(lab, *(spec.name for spec in SIX_HOSTS if spec.docker))
        prepare(fleet, fleet.hosts, Path(folder))
        failed = failing({"waves": partial(assert_waves_stop_at_first_failure, fleet)})
    return {"hosts": len(fleet.hosts), "failed": len(failed), "seconds": round(time.monotonic() - begun)}


def refusals(_steps: Sequence[str]) -> dict[str, Any]:
    """Check the refusal of each v1 that cannot be migrated, and of a second run during a migration."""
    begun = time.monotonic()
    with Lab("soak", ONE_HOST).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
        fleet = Fleet.of(lab, HOST)
        prepare(fleet, [HOST], Path(folder))
        fleet.deploy("--limit", "server")
        cases: dict[str, Callable[[], None]] = {
            bad.name: partial(assert_refused, fleet, HOST, bad) for bad in refused_cases(fleet, HOST)
        }
        cases["no room at the server"] = partial(assert_full_server_is_refused, fleet, HOST)
        cases["one under way"] = partial(assert_second_run_is_refused, fleet, HOST)
        failed = failing(cases)
    seconds = round(time.monotonic() - begun)
    return {"tried": len(cases), "failed": len(failed), "which": failed, "seconds": seconds}


def accidents(chosen: Sequence[str]) -> dict[str, Any]:
    """Interrupt a migration in each step by each accident: v1 or v2 serves, the next run ends in v2, nothing is lost.

    Two labs share the steps, since one processor does all work of a machine.
    """
    begun, steps = time.monotonic(), [step for step in STEPS if step in chosen or not chosen]
    with ExitStack() as stack:
        labs = [stack.enter_context(Lab(f"soak-{n}", ONE_HOST).running(fresh=True)) for n in range(LABS)]
        with ThreadPoolExecutor(LABS) as pool:
            shares = pool.map(_accidents, labs, [steps[n::LABS] for n in range(LABS)])
            failed = [step for share in shares for step in share]
    seconds = round(time.monotonic() - begun)
    counts = {"steps": len(steps), "of": len(STEPS), "accidents": len(steps) * len(KINDS)}
    return {**counts, "failed": len(failed), "which": failed, "seconds": seconds}


def _accidents(lab: Lab, steps: Sequence[str]) -> list[str]:
    """Return the steps of one lab that went wrong."""
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
                interrupt_in_each_way(fleet, HOST, step)
                ready = True
                say(f"{lab.name}: {step!r}: nothing was lost")
            except Exception:  # the next step is tried all the same
                failed.append(step)
                say(f"{lab.name}: {step!r}: FAILED\n{traceback.format_exc(limit=3)}")
    return failed
