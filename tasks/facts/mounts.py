"""What is mounted where the pods belong, and what lies beneath."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.nfs.mount_plan import STAMP, TRIED, binds_of, pods_of
from tasks.model.nfs.mount_state import MountState


class Mounts(ProgramFact[MountState]):
    """The pods' mount and its binds: live, in unit files, in fstab; and the directories beneath them."""

    program = "nfs.mounts"
    document = MountState

    def command(
        self, pods: str, binds: list[list[str]], units: dict[str, str], stamp: str, tried: str
    ) -> StringCommand:
        return self.ask(pods=pods, binds=binds, units=units, stamp=stamp, tried=tried)


def mounts_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    wanted = binds_of(plan) + ([pods_of(plan, plan.source)] if plan.source else [])
    return {
        "pods": plan.settings.pods_path,
        "binds": [list(bind) for bind in plan.binds],
        "units": {mount.path: mount.unit for mount in wanted},
        "stamp": STAMP,
        "tried": TRIED,
    }
