"""What is at a path of a machine, and whose it is to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.model.access.identity import ROOT, Ids
from tasks.model.fleet.plan import HostPlan


@dataclass(frozen=True)
class Place:
    """What lstat(2) says of a path; a link on the way to it counts as one at the path."""

    kind: Literal["absent", "file", "directory", "link", "special file"]
    uid: int = 0
    gid: int = 0
    mode: str = ""


def gives_on_pods(plan: HostPlan) -> bool:
    """Whether the project root is on an NFS server that lets this machine's root say who owns it (chown(2))."""
    return plan.root_on_pods and plan.squash is not None and plan.squash.seen(ROOT) == ROOT


def owner_on_pods(plan: HostPlan) -> Ids | None:
    """Who owns what the host process creates on the pods; None where the server decides that."""
    return None if plan.access.access == "squash" or plan.squash is None else plan.squash.seen(plan.host_ids)


def owner_in_root(plan: HostPlan) -> Ids | None:
    """Who owns what the host process creates in the project root; None where the server decides that."""
    return owner_on_pods(plan) if plan.root_on_pods else plan.host_ids


def creator_on_pods(plan: HostPlan) -> Ids | None:
    """Who creates directories on the pods where root cannot: the host process, where the server maps root to another.

    None where root's own belong to that owner, or root can chown them.
    """
    squash = plan.squash
    return None if squash is None or squash.seen(ROOT) in (ROOT, squash.seen(plan.host_ids)) else plan.host_ids
