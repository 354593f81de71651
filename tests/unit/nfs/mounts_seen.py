"""A host whose mounts are right, and what is decided where it is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tasks.model.fleet.plan import HostPlan, Machine, Source
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.nfs.mount_plan import Decision, binds_of, decide_bind, decide_pods, options_of
from tasks.model.nfs.mount_state import Beneath, Mount, MountState
from tests.fake.finished_host import mounted

GUARDED = Beneath("directory", immutable=True)
GROUPS = "/opt/nanoclaw/groups"


def planned(**data: Any) -> HostPlan:
    machines = [
        Machine("server", ("nfs_servers",), {"ssh_hostname": "10.0.0.1"}),
        Machine("host", ("nanoclaw_hosts",), {"ssh_hostname": "10.0.0.2", **data}),
    ]
    return plan_fleet(machines).hosts["host"]


def live(plan: HostPlan, *more: str, source: str = "10.0.0.1:/srv/pods/host", kind: str = "nfs4") -> Mount:
    return Mount(source, kind, "/", ["rw", *options_of(plan), "addr=10.0.0.1", *more])


def source_of(plan: HostPlan) -> Source:
    assert plan.source
    return plan.source


def pods(plan: HostPlan, seen: MountState, **changes: Any) -> Decision:
    points = {**seen.points, "/pods": replace(seen.points["/pods"], **changes)} if changes else seen.points
    return decide_pods(plan, source_of(plan), replace(seen, points=points))


def groups(plan: HostPlan, seen: MountState, **changes: Any) -> Decision:
    points = {**seen.points, GROUPS: replace(seen.points[GROUPS], **changes)} if changes else seen.points
    (wanted,) = (mount for mount in binds_of(plan) if mount.path == GROUPS)
    return decide_bind(plan, "/pods/groups", wanted, replace(seen, points=points))


PLAN = planned()
SEEN = mounted(PLAN)
