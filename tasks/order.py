"""The order between machines: all that servers do comes before anything that hosts do."""

from __future__ import annotations

from collections.abc import Callable

from pyinfra import state
from pyinfra.context import ctx_state

from tasks.model.plan import SERVERS


def servers_first() -> None:
    """Has pyinfra run every operation of nfs_servers before the first one of any other machine.

    By itself pyinfra keeps the order of each machine's operations, and lets different machines keep step: the
    second operation of a host runs after the second one of a server. A host would mount what is not exported yet.
    No machine is in both groups, so that this order keeps that of each machine. It is not the order of --serial,
    which goes through machine by machine.
    """
    run = ctx_state.get()  # type: ignore[no-untyped-call]
    if "get_op_order" in vars(run):
        return
    kept: Callable[[], list[str]] = run.get_op_order

    def order() -> list[str]:
        servers = {name for host in state.inventory if SERVERS in host.groups for name in host.op_hash_order}
        return sorted(kept(), key=lambda operation: operation not in servers)

    run.get_op_order = order
