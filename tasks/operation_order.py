"""The order between machines: operations of servers come first, but for those that were queued before."""

from pyinfra import host, state

from tasks.model.fleet.plan import SERVERS
from tasks.run_context import reorder_operations, run_context


def servers_first() -> None:
    """Order operations: those of nfs_servers run before the first one of any other machine.

    What a machine was given before this call comes earlier still. By itself pyinfra keeps the order of each machine's
    operations, and lets different machines keep step: the second operation of a host runs after the second one of a
    server. A host would mount what is not exported yet. No machine is in both groups, so that this order keeps that
    of each machine. It is not the order of --serial, which goes through machine by machine.
    """
    run_context().before_servers.update(host.op_hash_order)
    reorder_operations(_servers_first)


def _servers_first(order: list[str]) -> list[str]:
    earlier = run_context().before_servers
    servers = {name for member in state.inventory if SERVERS in member.groups for name in member.op_hash_order}
    return sorted(order, key=lambda operation: (operation not in earlier, operation not in servers))
