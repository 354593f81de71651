"""A host with the right mounts, and the decisions after a change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from files.pods.nfs.mount_state import Beneath, Mount, MountState
from tasks.model.fleet.plan import HostPlan, Source
from tasks.model.nfs.mount_plan import Decision, binds_of, decide_bind, decide_pods, options_of
from tests.builders import host_plan
from tests.fake.programs.nfs import mounted

GUARDED = Beneath("directory", immutable=True)
GROUPS = "/opt/nanoclaw/groups"


def live(plan: HostPlan, *more: str, source: str = "10.0.0.1:/srv/pods/oslo", kind: str = "nfs4") -> Mount:
    return Mount(source, kind, "/", ["rw", *options_of(plan), "addr=10.0.0.1", *more])


def source_of(plan: HostPlan) -> Source:
    assert plan.source
    return plan.source


def pods(plan: HostPlan, current: MountState, **changes: Any) -> Decision:
    points = {**current.points, "/pods": replace(current.points["/pods"], **changes)} if changes else current.points
    return decide_pods(plan, source_of(plan), replace(current, points=points))


def groups(plan: HostPlan, current: MountState, **changes: Any) -> Decision:
    points = {**current.points, GROUPS: replace(current.points[GROUPS], **changes)} if changes else current.points
    (desired,) = (mount for mount in binds_of(plan) if mount.path == GROUPS)
    return decide_bind(plan, "/pods/groups", desired, replace(current, points=points))


PLAN = host_plan()
FINISHED = mounted(PLAN)
