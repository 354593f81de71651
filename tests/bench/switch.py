"""The seconds without service in a migration, by how much data the v1 has; ratios within one lab and one run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import journal
from tests.e2e.migrations import prepare
from tests.e2e.v1_hosts import OLD
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.topology import host, server

HOST = "host-1000"
SIZES = (50, 500)
"""MB of files in v1's groups. More than these two do not fit on the disks of the lab's machines."""

WHAT = (
    "from the stop of v1 until v2 had passed its gate, on one machine of the lab, with so many MB of files of 10 MB in "
    "v1's groups on its local disk and the pods on NFS; staged: the copy while v1 served; factor: most / least"
)


def measure() -> dict[str, Any]:
    """Migrates one host of a lab of its own, once for each size; says why where that cannot be."""
    try:
        with Lab("bench", (server(), host(HOST))).running(fresh=True) as lab, tempfile.TemporaryDirectory() as folder:
            fleet = Fleet.of(lab, HOST)
            prepare(fleet, [HOST], Path(folder))
            found = [_switch(fleet, size) for size in SIZES]
    except LabError as error:
        return {"not_measured": str(error)}
    without = [each["without_service"] for each in found]
    return {"what": WHAT, "runs": found, "factor": round(max(without) / min(without), 2)}


def _switch(fleet: Fleet, size: int) -> dict[str, Any]:
    old, machine = OLD[HOST], fleet.lab[HOST]
    if journal(fleet, HOST)["state"] == "finished":
        fleet.data[HOST]["nanoclaw_v1_rollback"] = True
        fleet.deploy()
        fleet.data[HOST]["nanoclaw_v1_rollback"] = False
    fill = (
        f"cd {old.root}/groups/main && rm -rf bulk && mkdir bulk && for number in $(seq {size // 10}); do "
        f"head -c 10000000 /dev/urandom > bulk/$number; done && chown -R {old.account}: bulk"
    )
    machine.succeed(fill, timeout=600)
    fleet.deploy()
    found = journal(fleet, HOST)
    took = {step["name"]: step["ended"] - step["started"] for step in found["steps"]}
    return {
        "megabytes": size,
        "without_service": round(found["serving"] - found["stopped"], 1),
        "staged": round(took["copy"], 1),
        "copy_in_the_switch": round(took["copy what has changed"], 1),
    }


def sentence(found: dict[str, Any]) -> str:
    """The result in one line."""
    if "not_measured" in found:
        return f"switch: not measured: {found['not_measured']}"
    each = ", ".join(f"{run['without_service']} s with {run['megabytes']} MB" for run in found["runs"])
    return f"a migration's time without service: {each}; factor {found['factor']}"
