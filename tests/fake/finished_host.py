"""The replies of a host after a run of the role to what the preflight asks."""

from __future__ import annotations

from dataclasses import replace

from files.pods.machine.machine_state import MountPoint
from files.pods.nfs.protocol import ServerObservation
from tasks.model.fleet.plan import HostPlan
from tasks.model.nfs.mount_unit import mount_points
from tests.fake.bare_host import Documents, machine
from tests.fake.programs.machine import account_of


def finished_host(plan: HostPlan) -> Documents:
    return {
        "machine.preflight": replace(machine(plan.name, account_of(plan)), mounts=_mount_points(plan)),
        "nfs.observe_export": ServerObservation(
            state="seen",
            text="",
            made={"host": [1000, 1000], "agent": [1000, 1000], "root": [1000, 1000]},
            chown=None,
            directory_made=True,
            mount_point=None,
            left=[],
        ),
    }


def _mount_points(plan: HostPlan) -> list[MountPoint]:
    """What preflight sees mounted: the pods, and their binds."""
    if plan.source is None:
        return []
    return [MountPoint(path, "nfs4", str(plan.source), [plan.source.address]) for path in mount_points(plan)]
