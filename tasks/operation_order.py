"""The order between machines: all that servers do comes before anything that hosts do, but for what is said first."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from pyinfra import host, state
from pyinfra.api.state import State
from pyinfra.context import ctx_state

from tasks.model.fleet.plan import SERVERS

_earlier: WeakKeyDictionary[State, set[str]] = WeakKeyDictionary()


def servers_first() -> None:
    """Has pyinfra run every operation of nfs_servers before the first one of any other machine.

    What a machine was given before this call comes earlier still. By itself pyinfra keeps the order of each machine's
    operations, and lets different machines keep step: the second operation of a host runs after the second one of a
    server. A host would mount what is not exported yet. No machine is in both groups, so that this order keeps that
    of each machine. It is not the order of --serial, which goes through machine by machine.
    """
    run = ctx_state.get()  # type: ignore[no-untyped-call]
    earlier = _earlier.setdefault(run, set())
    earlier.update(host.op_hash_order)
    if "get_op_order" in vars(run):
        return
    kept: Callable[[], list[str]] = run.get_op_order

    def order() -> list[str]:
        servers = {name for host in state.inventory if SERVERS in host.groups for name in host.op_hash_order}
        return sorted(kept(), key=lambda operation: (operation not in earlier, operation not in servers))

    run.get_op_order = order
