"""Who owns what is created on a machine, by kernel and server, and what is at a path of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.model.access.identity import ROOT, Ids
from tasks.model.fleet.plan import HostPlan

Creator = Literal["host", "agent", "root"]
"""The host process; a container's process; root: dockerd, the guard, the role itself."""

Where = Literal["pods", "project root"]
"""Where: a project root is on the pods, or on a local disk."""


@dataclass(frozen=True)
class Place:
    """What lstat(2) says of a path; a link on the way to it counts as one at the path."""

    kind: Literal["absent", "file", "directory", "link", "special file"]
    uid: int = 0
    gid: int = 0
    mode: str = ""


def created_by(plan: HostPlan, process: Creator, where: Where = "pods") -> Ids | None:
    """Who owns an entry that a process creates; None where it is not known what the server does.

    On a local disk that is the process, on NFS whom the server takes it for (exports(5), "User ID Mapping"). Everything
    else in here and in tasks.model.ownership rests on this answer.
    """
    ids = {"host": plan.host_ids, "agent": plan.agent, "root": ROOT}[process]
    if where == "project root" and not plan.root_on_pods:
        return ids
    if plan.squash is not None:
        return plan.squash.map_ids(ids)
    # An unknown server is no obstacle to the guard only where it leaves root root.
    return ROOT if plan.strategy.needs_guard and ids == ROOT else None


def expected_owner(plan: HostPlan, where: Where = "pods") -> Ids | None:
    """The owner that the host process's entries are given; None where that is the server's alone, or not known."""
    on_pods = where == "pods" or plan.root_on_pods
    return None if on_pods and plan.strategy.server_sets_owner else created_by(plan, "host", where)


def can_chown_on_export(plan: HostPlan) -> bool:
    """Whether the project root is on an NFS server that lets this machine's root chown(2)."""
    return plan.root_on_pods and created_by(plan, "root") == ROOT


def directory_creator(plan: HostPlan) -> Ids | None:
    """Who creates directories on the pods where root cannot: the host process, where the server maps root to another.

    None where root's own belong to that owner, or root can chown them.
    """
    return None if created_by(plan, "root") in (None, ROOT, created_by(plan, "host")) else plan.host_ids
