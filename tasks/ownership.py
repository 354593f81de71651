"""Ownership of session and group trees: chown what exists, and guard what the host process creates."""

from pyinfra.api.deploy import deploy

from tasks.model.fleet.plan import HostPlan, ServerPlan
from tasks.model.ownership.trees import chown_by, host_trees, server_trees
from tasks.operations.guard import guard
from tasks.operations.ownership import tree_owner

WALK = 3600
"""Seconds for an operation that walks trees."""


@deploy("Ownership on the server")
def own_exports(plan: ServerPlan) -> None:
    """Chown each export to its agent on the server: much faster than over NFS."""
    tree_owner(name="Chown the exports to their agents", trees=server_trees(plan), _timeout=WALK)


@deploy("Guard")
def guard_first(plan: HostPlan) -> None:
    """Start the guard before the server changes: otherwise sessions created in between would stay root's.

    For a host that has its mounts already; on any other `own_trees` starts it, before the host process.
    """
    guard(name="Guard the sessions before the server changes", plan=plan, _timeout=120)


@deploy("Ownership")
def own_trees(plan: HostPlan, *, guard_started: bool = False) -> None:
    """Chown the session and group trees to the agent; start the guard where the host process is root.

    + guard_started: whether this run has started the guard already
    """
    machine = chown_by(plan)
    if machine != "server":
        tree_owner(
            name="Chown sessions and groups to the agent",
            trees=host_trees(plan),
            can_change=machine == "host",
            _timeout=WALK,
        )
    if not guard_started:
        guard(name="Guard new sessions", plan=plan, _timeout=120)
