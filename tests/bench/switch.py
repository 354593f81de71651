"""The seconds without service in a migration, by how much data the v1 has; ratios within one lab and one run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from files.pods.transition.step_ids import StepId
from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import journal
from tests.e2e.migrations import install_v1_on
from tests.e2e.v1_hosts import v1_of
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.topology import host, server

HOST = "host-1500"
DISK = 24
"""GB of the disk that holds v1 and v2: twice the largest, and what earlier attempts have left aside."""
SIZES = (50, 500, 5000)
"""MB of files in v1's groups."""
FILL, RUN = 1200, 3600
"""Seconds to make them, and for a run with them."""

WHAT = (
    "from the stop of v1 until v2 had passed its gate, on one machine of the lab, with so many MB of files of 10 MB in "
    "v1's groups; v1 and v2 on one local disk; staged: the copy while v1 served; factor: most / least"
)


def measure(keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Migrates one host of a lab of its own, once for each size; says why where that cannot be.

    + keep: is given what there is after each size
    """
    try:
        topology = (server(), host(HOST, disk=DISK))
        with Lab("bench", topology).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
            fleet = Fleet.of(lab, HOST)
            lab[HOST].succeed("mkfs.ext4 -q /dev/ubdb && mount /dev/ubdb /srv", timeout=FILL)
            fleet.data[HOST] |= {"pods_server": "local", "pods_path": "/srv/pods", "nanoclaw_root": "/srv/nanoclaw"}
            install_v1_on(fleet, [HOST], Path(folder))
            runs: list[dict[str, Any]] = []
            for size in SIZES:
                runs.append(_switch(fleet, size))
                keep({"what": WHAT, "runs": runs})
    except LabError as error:
        return {"not_measured": str(error)}
    without = [each["without_service"] for each in runs]
    return {"what": WHAT, "runs": runs, "factor": round(max(without) / min(without), 2)}


def _switch(fleet: Fleet, size: int) -> dict[str, Any]:
    v1, machine = v1_of(HOST), fleet.lab[HOST]
    if journal(fleet, HOST)["state"] == "finished":
        fleet.data[HOST]["nanoclaw_v1_rollback"] = True
        fleet.deploy()
        fleet.data[HOST]["nanoclaw_v1_rollback"] = False
    fill = (
        f"cd {v1.root}/groups/main && rm -rf bulk && mkdir bulk && head -c 10000000 /dev/urandom > /run/file && "
        f"for number in $(seq {size // 10}); do cp /run/file bulk/$number; done && chown -R {v1.account}: bulk && sync"
    )
    machine.succeed(fill, timeout=FILL)
    fleet.deploy(timeout=RUN)
    steps = journal(fleet, HOST)
    took = {step["id"]: step["ended"] - step["started"] for step in steps["steps"]}
    return {
        "megabytes": size,
        "without_service": round(steps["serving"] - steps["stopped"], 1),
        "staged": round(took[StepId.COPY], 1),
        "copy_in_the_switch": round(took[StepId.FINAL_COPY], 1),
    }


def sentence(figures: dict[str, Any]) -> str:
    """The result in one line."""
    if "not_measured" in figures:
        return f"switch: not measured: {figures['not_measured']}"
    each = ", ".join(f"{run['without_service']} s with {run['megabytes']} MB" for run in figures["runs"])
    return f"a migration's time without service: {each}; factor {figures['factor']}"
