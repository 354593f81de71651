"""The owner of new entries on a machine, by the rules of kernel and server; and what lstat(2) reports of a path."""

from typing import Literal

from tasks.model.access.identity import ROOT, Ids
from tasks.model.fleet.plan import HostPlan

Creator = Literal["host", "agent", "root"]
"""The host process; a container's process; root: dockerd, the guard, the role itself."""

Where = Literal["pods", "project root"]
"""Where: a project root is on the pods, or on a local disk."""


def created_by(plan: HostPlan, process: Creator, where: Where = "pods") -> Ids | None:
    """Return the owner of an entry that a process creates; None where the server's squash is not known.

    On a local disk that is the process, on NFS the ids that the server maps it to (exports(5), "User ID Mapping").
    """
    ids = {"host": plan.host_ids, "agent": plan.agent, "root": ROOT}[process]
    if where == "project root" and not plan.root_on_pods:
        return ids
    if plan.squash is not None:
        return plan.squash.map_ids(ids)
    # An unknown server is no obstacle to the guard only where it leaves root root.
    return ROOT if plan.strategy.needs_guard and ids == ROOT else None


def expected_owner(plan: HostPlan, where: Where = "pods") -> Ids | None:
    """Return the owner to chown the host process's entries to; None where the server decides it, or it is not known."""
    on_pods = where == "pods" or plan.root_on_pods
    return None if on_pods and plan.strategy.server_sets_owner else created_by(plan, "host", where)


def can_chown_on_export(plan: HostPlan) -> bool:
    """Whether the project root is on an NFS server that lets this machine's root chown(2)."""
    return plan.root_on_pods and created_by(plan, "root") == ROOT


def directory_creator(plan: HostPlan) -> Ids | None:
    """Return who creates directories on the pods where root cannot: the host process, where the server maps root.

    None where root's new directories get the right owner, or root can chown them.
    """
    return None if created_by(plan, "root") in (None, ROOT, created_by(plan, "host")) else plan.host_ids
