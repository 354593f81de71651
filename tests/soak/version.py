"""Changes of version: each pair of the stand-in's versions, and an accident in each step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import KINDS
from tests.e2e.version_changes import (
    PAIRS,
    STEPS,
    assert_waves_stop_at_first_failure,
    change,
    install,
    interrupt_in_each_way,
)
from tests.lab.lab import Lab
from tests.lab.topology import host, server
from tests.soak.cases import failing
from tests.soak.migration import SIX_HOSTS

HOST = "host-1500"
ONE_HOST = (server(), host(HOST))
OLD, NEW = "v2.0.64", "v2.1.17"


def versions(_steps: Sequence[str]) -> dict[str, Any]:
    """Change from each version of the stand-in to each later one: a conversation continues."""
    begun = time.monotonic()
    with Lab("soak-versions", ONE_HOST).running(fresh=True) as lab:
        fleet = Fleet.of(lab, HOST)
        failed = failing({f"{old} to {new}": partial(change, fleet, HOST, old, new) for old, new in PAIRS})
    return {"pairs": len(PAIRS), "failed": len(failed), "which": failed, "seconds": round(time.monotonic() - begun)}


def version_waves(_steps: Sequence[str]) -> dict[str, Any]:
    """Change the version of six hosts: a canary, then two hosts a wave. The third host first fails its gate."""
    begun = time.monotonic()
    with Lab("soak-version-waves", SIX_HOSTS).running(fresh=True) as lab:
        fleet = Fleet.of(lab, *(spec.name for spec in SIX_HOSTS if spec.docker))
        for name in fleet.hosts:
            fleet.data[name]["nanoclaw_ref"] = OLD
        fleet.deploy(timeout=3600)
        failed = failing({"waves": partial(assert_waves_stop_at_first_failure, fleet, OLD, NEW)})
    return {"hosts": len(fleet.hosts), "failed": len(failed), "seconds": round(time.monotonic() - begun)}


def version_accidents(chosen: Sequence[str]) -> dict[str, Any]:
    """Interrupt a change of version in each step by each accident: the old or the new version serves."""
    begun, steps = time.monotonic(), [step for step in STEPS if step in chosen or not chosen]
    with Lab("soak-version-accidents", ONE_HOST).running(fresh=True) as lab:
        fleet = Fleet.of(lab, HOST)

        def interrupted(step: str) -> None:
            install(fleet, HOST, OLD)
            interrupt_in_each_way(fleet, HOST, step, OLD, NEW)

        failed = failing({step: partial(interrupted, step) for step in steps})
    seconds = round(time.monotonic() - begun)
    counts = {"steps": len(steps), "of": len(STEPS), "accidents": len(steps) * len(KINDS)}
    return {**counts, "failed": len(failed), "which": failed, "seconds": seconds}
