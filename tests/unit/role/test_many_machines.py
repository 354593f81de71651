"""What deploy code does with many machines: it looks at them at once, and lets servers go first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from pyinfra import logger
from pyinfra.api.config import Config
from pyinfra.context import ctx_config, ctx_host, ctx_state

from files.pods.nfs.protocol import ServerObservation
from tasks import adoption, concurrent_facts, observe_servers, operation_order
from tasks.concurrent_facts import at_once
from tasks.model.fleet.plan import HOSTS, SERVERS, FleetPlan
from tests.builders import fleet


class Member:
    """A machine of a run."""

    def __init__(self, name: str, group: str = HOSTS, operations: tuple[str, ...] = ()) -> None:
        self.name, self.groups, self.op_hash_order = name, [group], list(operations)


class State:
    """A run with operations in the order of their names."""

    def __init__(self, *inventory: Member) -> None:
        self.inventory = self.active_hosts = list(inventory)

    def get_op_order(self) -> list[str]:
        """All operations."""
        return sorted({operation for member in self.inventory for operation in member.op_hash_order})


OSLO, BERGEN = Member("oslo"), Member("bergen")
SETTINGS: Any = Config()  # type: ignore[no-untyped-call]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    state = State(OSLO, BERGEN)
    for module in (concurrent_facts, observe_servers):
        monkeypatch.setattr(module, "state", state)
    with ctx_config.use(SETTINGS):
        yield state


def test_each_machine_replies_as_itself_and_with_the_runs_settings(run: State) -> None:
    gone = Member("gone")

    def ask(member: Any) -> tuple[str, int]:
        name, config = ctx_host.get().name, ctx_config.get()  # type: ignore[no-untyped-call]
        config.PARALLEL += 1
        return name, config.PARALLEL

    config = SETTINGS.copy()
    config.PARALLEL = 5
    members: Any = [OSLO, gone, BERGEN]
    with ctx_config.use(config):
        results = at_once(members, ask)
    assert [(member.name, answer) for member, answer in results] == [
        ("oslo", ("oslo", 6)),
        ("gone", None),
        ("bergen", ("bergen", 6)),
    ]
    assert config.PARALLEL == 5, "what one question sets is none of the others'"


def test_servers_go_first_but_for_what_was_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    server, host = Member("nfs1", SERVERS), Member("oslo", HOSTS, ("5",))
    state = State(server, host)
    monkeypatch.setattr(operation_order, "state", state)
    with ctx_state.use(state):
        for member in (host, server):  # deploy code calls it for each machine
            monkeypatch.setattr(operation_order, "host", member)
            operation_order.servers_first()
        server.op_hash_order += ["3", "4"]
        host.op_hash_order += ["1", "2", "6"]
        assert state.get_op_order() == ["5", "3", "4", "1", "2", "6"]


def planned(**hosts: dict[str, Any]) -> FleetPlan:
    common = {"pods_server": "10.0.0.99", "nanoclaw_user": "root"}
    return fleet(**{name: {**common, "pods_export": f"/vol/{name}", **data} for name, data in hosts.items()})


OBSERVED = ServerObservation(
    state="seen",
    text="",
    made={"host": [1000, 1000], "agent": [1000, 1000], "root": [1000, 1000]},
    chown=None,
    directory_made=True,
    mount_point=None,
    left=[],
)


def test_each_host_observes_its_unmanaged_server(run: State, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = planned(oslo={"nanoclaw_root": "/pods/n"}, bergen={}, local={})
    requests: dict[str, dict[str, Any]] = {}

    def ask(member: Any, fact: Any, request: Any, **more: Any) -> ServerObservation | None:
        requests[member.name] = {**asdict(request), **more}
        return OBSERVED if member.name == "oslo" else None

    lines: list[str] = []
    monkeypatch.setattr(observe_servers, "ask_machine", ask)
    monkeypatch.setattr(logger, "info", lambda line, *args: lines.append(line % args))
    members: Any = [OSLO, BERGEN, Member("local"), Member("nfs1", SERVERS)]
    observed, problems = observe_servers.observe(fleet, members, only_reads=False)
    assert {name: (squash.maps, squash.anonymous) for name, squash in observed.items()} == {
        "oslo": ("all", OBSERVED.ids("host"))
    }
    assert [(problem.machine, problem.key) for problem in problems] == [("bergen", "pods_server")]
    assert requests["oslo"] == {
        "address": "10.0.0.99",
        "path": "/vol/oslo",
        "version": "4.2",
        "transport": "tcp",
        "places": ["n/data/v2-sessions", "n/groups", "."],
        "host": (0, 0),
        "agent": (1000, 1000),
        "seconds": 20,
        "timeout": 60,
    }
    assert requests["bergen"]["places"] == ["v2-sessions", "groups", "."] and set(requests) == {"oslo", "bergen"}
    (line,) = lines
    assert line.startswith("    oslo: 10.0.0.99:/vol/oslo: observed: what host creates is 1000:1000")


def test_a_server_without_an_observation_is_refused_with_the_way_out(
    run: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = replace(OBSERVED, state="EACCES", made={})
    monkeypatch.setattr(observe_servers, "ask_machine", lambda *_args, **_more: refused)
    members: Any = [OSLO]
    observed, (problem,) = observe_servers.observe(planned(oslo={}), members, only_reads=False)
    assert observed == {} and (problem.machine, problem.key) == ("oslo", "pods_server")
    assert problem.text.endswith("let the server export /vol/oslo to this host's address")


def test_stated_export_options_are_compared_with_the_observation(run: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe_servers, "ask_machine", lambda *_args, **_more: OBSERVED)
    members: Any = [OSLO]
    fleet = planned(oslo={"pods_export_options": ["no_root_squash"]})
    _observed, problems = observe_servers.observe(fleet, members, only_reads=False)
    assert [problem.key for problem in problems] == ["pods_export_options"]


def test_a_run_that_only_reads_observes_no_server(run: State, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(logger, "info", lambda line, *args: lines.append(line % args))
    members: Any = [OSLO, Member("gone")]
    fleet = planned(oslo={}, gone={})
    assert observe_servers.observe(fleet, members, only_reads=True) == ({}, [])
    assert lines == ["    oslo: a dry run does not observe how the server maps ids"]


def test_a_host_that_does_not_say_what_runs_on_it_is_not_taken_over(
    run: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = planned(oslo={}, bergen={"nanoclaw_v1_dir": "/v1", "nanoclaw_v1_rollback": True})
    requests: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(
        adoption,
        "ask_machine",
        lambda member, _fact, request, **more: requests.update({member.name: {**asdict(request), **more}}),
    )
    members: Any = [OSLO, BERGEN, Member("nfs1", SERVERS)]
    (problem,) = adoption.look_at_v2(fleet, members)
    assert (problem.machine, problem.key) == ("oslo", "nanoclaw_root")
    assert (
        problem.text == "this machine did not report which NanoClaw runs on it: correct its error above, then run again"
    )
    assert requests == {"oslo": {"timeout": 240, "root": "/opt/nanoclaw", "uid": 0}}, "one that goes back is not asked"
