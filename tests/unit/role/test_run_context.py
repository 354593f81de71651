"""What a run knows ends with it, and what the role replaces of pyinfra's State."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.config import Config
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.context import ctx_host, ctx_inventory, ctx_state

from files.pods.common.protocol import Place
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import SERVERS
from tasks.operation_order import servers_first
from tasks.operations.dry_run import is_pending, mark_pending, mark_pending_owner, with_pending_owners
from tasks.replies import replies
from tasks.run_context import call_after_init, run_context


def new_run() -> State:
    """A run of two machines, one of them an NFS server."""
    inventory: Any = Inventory((["nfs1", "oslo"], {}), **{SERVERS: (["nfs1"], {})})  # type: ignore[no-untyped-call]
    return State(inventory, Config())  # type: ignore[no-untyped-call]


@pytest.fixture
def runs() -> Iterator[tuple[State, State]]:
    """Two runs of one process."""
    yield new_run(), new_run()
    ctx_state.reset()


def test_two_runs_of_one_process_share_nothing(runs: tuple[State, State]) -> None:
    first, second = runs
    with ctx_state.use(first), ctx_host.use(first.inventory.get_host("oslo")):
        mark_pending("source")
        mark_pending_owner(frozenset({0}), Ids(1000, 1000))
        run_context().migrated.add("oslo")
        kept = replies()
        assert is_pending("source") and replies() is kept
    places = {"data": Place("directory", 0, 0)}
    with ctx_state.use(second), ctx_host.use(second.inventory.get_host("oslo")):
        assert not is_pending("source")
        assert with_pending_owners(places) == places
        assert run_context().migrated == set()
        assert replies() is not kept
    with ctx_state.use(first), ctx_host.use(first.inventory.get_host("oslo")):
        assert with_pending_owners(places) == {"data": Place("directory", 1000, 1000)}


def test_other_machines_of_a_run_have_nothing_pending(runs: tuple[State, State]) -> None:
    with ctx_state.use(runs[0]):
        with ctx_host.use(runs[0].inventory.get_host("oslo")):
            mark_pending("build")
        with ctx_host.use(runs[0].inventory.get_host("nfs1")):
            assert not is_pending("build")


def test_work_is_done_once_a_run_and_a_refusal_is_kept(runs: tuple[State, State]) -> None:
    calls: list[Inventory] = []

    def work(inventory: Inventory) -> int:
        calls.append(inventory)
        return len(calls)

    def refusal(inventory: Inventory) -> int:
        calls.append(inventory)
        raise PyinfraError("no")

    with ctx_state.use(runs[0]):
        assert [run_context().once(work, runs[0].inventory) for _ in range(2)] == [1, 1]
        for _ in range(2):
            with pytest.raises(PyinfraError, match="no"):
                run_context().once(refusal, runs[0].inventory)
    assert len(calls) == 2
    with ctx_state.use(runs[1]):
        assert run_context().once(work, runs[1].inventory) == 3


def test_host_data_is_judged_after_init_and_before_a_connection() -> None:
    state, judged = State(), []
    call_after_init(state, lambda inventory, limit: judged.append((inventory, limit, state.initialised)))
    inventory = Inventory((["oslo"], {}))  # type: ignore[no-untyped-call]
    run_config = Config()  # type: ignore[no-untyped-call]
    some: list[Host] = [inventory.get_host("oslo")]
    state.init(inventory, run_config, initial_limit=some)
    assert judged == [(inventory, some, True)]
    assert state.limit_hosts == some and not state.activated_hosts


def test_servers_come_first_but_for_what_was_queued_before(runs: tuple[State, State]) -> None:
    run = runs[0]
    server, host = run.inventory.get_host("nfs1"), run.inventory.get_host("oslo")
    with ctx_state.use(run), ctx_inventory.use(run.inventory):
        host.op_hash_order = ["guard"]
        for member in (server, host):
            with ctx_host.use(member):
                servers_first()
        host.op_hash_order += ["mount", "service"]
        server.op_hash_order = ["directories", "exports", "owners"]
        queued = [*host.op_hash_order, *server.op_hash_order]
        run.op_meta = {name: SimpleNamespace(op_order=number) for number, name in enumerate(queued)}  # type: ignore[misc]
        order = ["guard", "directories", "exports", "owners", "mount", "service"]
        assert run.get_op_order() == order  # type: ignore[no-untyped-call]
    assert "get_op_order" not in vars(runs[1])
