"""Session and group trees belong to the agent: those that exist, and those that are born later."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import HostPlan, ServerPlan
from tasks.model.ownership.trees import chown_by, host_trees, server_trees
from tasks.operations.guard import guard
from tasks.operations.ownership import tree_owner

WALK = 3600
"""Seconds for an operation that walks trees."""


@deploy("Ownership on the server")
def own_exports(plan: ServerPlan) -> None:
    """Gives the exports that belong to an agent to it, on the server's own disk, where that is cheap."""
    tree_owner(name="Give the exports to their agents", trees=server_trees(plan), _timeout=WALK)


@deploy("Guard")
def guard_first(plan: HostPlan) -> None:
    """Has the guard at work before the server changes: no session is born in between that nobody gives away.

    For a host whose mounts are there already; on any other `own_trees` starts it, before the host process.
    """
    guard(name="Guard the sessions before the server changes", plan=plan, _timeout=120)


@deploy("Ownership")
def own_trees(plan: HostPlan, *, guarded: bool = False) -> None:
    """Gives the session and group trees to the agent, and keeps doing so where the host makes them as root.

    + plan: the host's plan
    + guarded: whether this run has seen to the guard already
    """
    machine = chown_by(plan)
    if machine != "server":
        tree_owner(
            name="Give sessions and groups to the agent",
            trees=host_trees(plan),
            can_change=machine == "host",
            _timeout=WALK,
        )
    if not guarded:
        guard(name="Guard the sessions that are born later", plan=plan, _timeout=120)
