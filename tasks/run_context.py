"""What one run knows beside its machines, and the two methods of pyinfra's State that the role replaces.

It is an attribute of pyinfra's State, of which a run has exactly one: what is known ends with the run. Globals of a
module would leak into the next run of one process. A dictionary of ours, with weak keys, would mix up the State and
pyinfra's proxy of it (pyinfra.state): both are equal keys, and the proxy outlives the run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gevent.lock import RLock
from pyinfra.api.config import Config
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.context import ctx_state

from tasks.model.access.identity import Ids

if TYPE_CHECKING:  # it asks for the run's context itself
    from tasks.replies import Replies

Answer = TypeVar("Answer")

Pending = Literal["source", "container", "database", "build", "image", "environment", "record", "service"]
"""What a check phase expects an operation to replace on a machine."""

_NAME = "nanoclaw_pods"


class Once:
    """Work that the first caller does; later ones, which come at the same time, wait for its result or its refusal."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._results: dict[str, Any] = {}

    def __call__(self, work: Callable[[Inventory], Answer], inventory: Inventory) -> Answer:
        """The result of `work`, by its name; raises again what it has raised."""
        with self._lock:
            if work.__name__ not in self._results:
                try:
                    self._results[work.__name__] = work(inventory)
                except PyinfraError as error:
                    self._results[work.__name__] = error
        result: Answer | PyinfraError = self._results[work.__name__]
        if isinstance(result, PyinfraError):
            raise result
        return result


@dataclass
class RunContext:
    """What one run knows. Machines are keyed by their inventory names."""

    once: Once = field(default_factory=Once)
    """The plan of the fleet, and the preflight: deploy code runs once for each machine, and they are made once."""
    replies: Replies | None = None
    """What machines have answered, and for how long that holds (tasks/replies.py)."""
    pending: defaultdict[str, set[Pending]] = field(default_factory=lambda: defaultdict(set))
    """What earlier operations of a check phase are going to replace (tasks/operations/dry_run.py)."""
    pending_owners: dict[str, tuple[frozenset[int], Ids]] = field(default_factory=dict)
    """Owners of entries in the project root that an earlier operation of a check phase will chown, and to whom."""
    migrated: set[str] = field(default_factory=set)
    """Hosts that are known to serve with their new version: the next wave waits for them."""
    before_servers: set[str] = field(default_factory=set)
    """Operations that come before those of servers (tasks/operation_order.py)."""


def run_context() -> RunContext:
    """The context of the run that is under way."""
    state: State = ctx_state.get()  # type: ignore[no-untyped-call]
    context: RunContext | None = getattr(state, _NAME, None)
    if context is None:
        context = RunContext()
        setattr(state, _NAME, context)
    return context


def call_after_init(state: State, check: Callable[[Inventory, Iterable[Host] | None], None]) -> None:
    """Replace State.init by one that calls `check` with the inventory and the limit at its end.

    The reason: pyinfra has no hook between its inventory and the first connection. (A callback on connecting comes
    early enough too, but pyinfra prints what it raises with a traceback for each machine.)
    """
    init = state.init

    def init_then_check(inventory: Inventory, config: Config, initial_limit: Iterable[Host] | None = None) -> None:
        init(inventory, config, initial_limit=initial_limit)
        check(inventory, initial_limit)

    state.init = init_then_check  # type: ignore[assignment, method-assign]


def reorder_operations(reorder: Callable[[list[str]], list[str]]) -> None:
    """Replace State.get_op_order, once a run, by one that has `reorder` change pyinfra's order.

    The reason: pyinfra lets the operations of different machines keep step, and offers no order between machines but
    --serial, which goes through them one by one.
    """
    state: State = ctx_state.get()  # type: ignore[no-untyped-call]
    if "get_op_order" in vars(state):
        return
    pyinfra_order: Callable[[], list[str]] = state.get_op_order
    state.get_op_order = lambda: reorder(pyinfra_order())  # type: ignore[method-assign]
