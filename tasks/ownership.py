"""Session and group trees belong to the agent: those that exist, and those that are born later."""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from tasks.model.ownership import duty, host_trees, server_trees
from tasks.model.plan import HostPlan, ServerPlan
from tasks.operations.guard import guard
from tasks.operations.ownership import tree_owner

WALK = 3600
"""Seconds for an operation that walks trees."""


@deploy("Ownership on the server")
def own_exports(plan: ServerPlan) -> None:
    """Gives the exports that belong to an agent to it, on the server's own disk, where that is cheap."""
    tree_owner(name="Give the exports to their agents", trees=server_trees(plan), _timeout=WALK)


@deploy("Ownership")
def own_trees(plan: HostPlan) -> None:
    """Gives the session and group trees to the agent, and keeps doing so where the host makes them as root."""
    its_duty = duty(plan)
    if its_duty != "server":
        tree_owner(
            name="Give sessions and groups to the agent",
            trees=host_trees(plan),
            can_change=its_duty == "change",
            _timeout=WALK,
        )
    guard(name="Guard the sessions that are born later", plan=plan, _timeout=120)
