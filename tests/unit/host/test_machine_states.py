"""How the states of machines are read before a run: what each is asked, and when it is asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from pyinfra import logger

from files.pods.common.protocol import Request
from files.pods.machine.machine_state import IdState, MachineState
from files.pods.nfs.export_state import ExportState
from tasks import host_ids
from tasks.host_ids import MachineStates
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import FleetPlan
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.host.host_ids import CANDIDATES
from tests import builders
from tests.builders import fleet
from tests.fake.bare_host import NO_ACCOUNT, machine

FREE = [IdState(number, None, None, None) for number in CANDIDATES[:8]]
STOCK = [IdState(1000, "debian", "debian", "debian"), *FREE[1:]]
NO_EXPORTS = ExportState(None, None, [], [], {}, False, False, [])


class Member:
    """A machine of a run."""

    def __init__(self, name: str) -> None:
        self.name = name


class Machines:
    """Answers, and keeps what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, states: Mapping[str, MachineState | None]) -> None:
        self.states, self.exports = dict(states), {"nfs1": NO_EXPORTS}
        self.asked: list[tuple[str, Any, dict[str, Any]]] = []
        self.together: list[tuple[str, list[Any], int | None]] = []
        monkeypatch.setattr(host_ids, "ask_machine", self.ask)
        monkeypatch.setattr(host_ids, "ask_together", self.ask_together)
        monkeypatch.setattr(host_ids, "at_once", lambda members, ask: [(one, ask(one)) for one in members])

    def ask(self, member: Member, reply: Any, request: Request, timeout: int) -> Any:
        """One answer."""
        self.asked.append((member.name, reply, {**request.document(), "timeout": timeout}))
        return self.states[member.name] if reply is MachineState else self.exports[member.name]

    def ask_together(self, member: Member, questions: Any, timeout: int | None = None) -> None:
        """What is going to be asked."""
        self.together.append((member.name, [question.reply for question in questions], timeout))

    def questions(self, name: str) -> list[dict[str, Any]]:
        """All that a machine was asked about itself."""
        return [request for member, reply, request in self.asked if member == name and reply is MachineState]


def settled(machines: Machines, names: list[str], **hosts: dict[str, Any]) -> tuple[MachineStates, FleetPlan]:
    members: Any = [Member(name) for name in names]
    replies = MachineStates(members)
    return replies, replies.settle(fleet(None, **hosts), lambda ids: fleet(ids, **hosts))


def test_a_machine_gets_one_request_where_its_reply_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"nfs1": machine("nfs1"), "oslo": replace(machine("oslo", NO_ACCOUNT), ids=FREE)}
    machines = Machines(monkeypatch, states)
    replies, plan = settled(machines, ["nfs1", "oslo"], oslo={})
    assert plan.hosts["oslo"].host_ids == Ids(1000, 1000)
    assert machines.together == [("nfs1", [MachineState, ExportState], 60), ("oslo", [MachineState], 60)]
    assert machines.questions("nfs1") == [
        {
            "paths": [],
            "account": None,
            "agent": None,
            "space": ["/var"],
            "places": {"paths": ["/srv/pods/oslo"], "marks": {}, "enter": []},
            "ids": [*CANDIDATES],
            "timeout": 60,
        }
    ]
    assert machines.questions("oslo") == [
        {
            "paths": ["/pods", "/opt/nanoclaw/data/v2-sessions", "/opt/nanoclaw/groups"],
            "account": {"user": "nanoclaw", "uid": 1000, "gid": 1000},
            "agent": 1000,
            "space": ["/var", "/opt/nanoclaw"],
            "places": {
                "paths": ["/opt/nanoclaw", "/pods"],
                "marks": {},
                "enter": ["/opt/nanoclaw", "/pods"],
            },
            "ids": [*CANDIDATES],
            "user": "nanoclaw",
            "timeout": 60,
        }
    ]
    (exports,) = [request for _name, reply, request in machines.asked if reply is ExportState]
    assert exports["timeout"] == 60 and exports["directories"] == ["/srv/pods/oslo"]
    assert replies.machines == states and replies.exports == {"nfs1": NO_EXPORTS, "oslo": None}


def test_stated_ids_are_not_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(monkeypatch, {"nfs1": machine("nfs1"), "oslo": machine("oslo", NO_ACCOUNT)})
    settled(machines, ["nfs1", "oslo"], oslo={"nanoclaw_uid": 1500})
    requests = [request for name in ("nfs1", "oslo") for request in machines.questions(name)]
    assert [({"ids", "user"} & set(request)) for request in requests] == [set(), set()]


def test_a_machine_gets_a_second_request_for_the_chosen_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"nfs1": machine("nfs1"), "oslo": replace(machine("oslo", NO_ACCOUNT), ids=STOCK)}
    machines = Machines(monkeypatch, states)
    replies, plan = settled(machines, ["nfs1", "oslo"], oslo={})
    assert plan.hosts["oslo"].host_ids == Ids(850, 850)
    first, second = machines.questions("oslo")
    assert (first["account"]["uid"], second["account"]["uid"]) == (1000, 850)
    assert len(machines.questions("nfs1")) == 1, "nothing else is asked of the server"
    lines: list[str] = []
    monkeypatch.setattr(logger, "info", lambda line, *args: lines.append(line % args))
    replies.say()
    assert lines == ["    nanoclaw_uid 850 and nanoclaw_gid 850 for oslo: uid 1000 is debian's on oslo"]


def test_what_a_server_exports_for_a_host_is_kept_where_others_are_free_too(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"nfs1": machine("nfs1"), "oslo": replace(machine("oslo", NO_ACCOUNT), ids=STOCK)}
    machines = Machines(monkeypatch, states)
    entry = ["/srv/pods/oslo", "10.0.0.2", "rw", "all_squash", "anonuid=845", "anongid=845"]
    machines.exports["nfs1"] = replace(NO_EXPORTS, table=[entry])
    _replies, plan = settled(machines, ["nfs1", "oslo"], oslo={})
    assert plan.hosts["oslo"].host_ids == Ids(845, 845)
    facts = [reply for _name, reply, _request in machines.asked]
    assert facts.count(ExportState) == 1, "the table is asked for once"


def test_an_unknown_number_is_requested_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account elsewhere in the fleet has it, and hosts are to have the same."""
    account = replace(NO_ACCOUNT, ids=(1234, 1234))
    states = {
        "nfs1": machine("nfs1"),
        "oslo": replace(machine("oslo", account), ids=FREE),
        "bergen": replace(machine("bergen", NO_ACCOUNT), ids=STOCK),
    }
    machines = Machines(monkeypatch, states)
    settled(machines, ["nfs1", "oslo", "bergen"], oslo={}, bergen={})
    requests = [request["ids"] for request in machines.questions("bergen")]
    assert requests[0] == [*CANDIDATES] and requests[1] == [1234, *CANDIDATES]


OF_1000: dict[str, Any] = {"nanoclaw_uid": 1000, "nanoclaw_gid": 998, "nanoclaw_ref": "production"}
"""A host of which the agent's gid depends on the session driver."""


def settled_drivers(
    machines: Machines, names: list[str], expected: dict[str, bool], desired: dict[str, bool] | None = None
) -> tuple[MachineStates, FleetPlan]:
    """What follows for oslo, of which something is expected before anything is asked."""
    members: Any = [Member(name) for name in names]
    replies = MachineStates(members, desired_drivers=desired or {})

    def plan(ids: Mapping[str, Ids], drivers: Mapping[str, bool] = expected) -> FleetPlan:
        return plan_fleet(builders.machines(oslo=OF_1000), None, ids, {**expected, **drivers})

    return replies, replies.settle(plan({}), lambda ids: plan(ids, replies.drivers))


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("driver", [False, True])
def test_the_checkout_decides_the_gid_of_an_agent_of_uid_1000(
    driver: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"nfs1": machine("nfs1"), "oslo": replace(machine("oslo", NO_ACCOUNT), driver=driver)}
    machines = Machines(monkeypatch, states)
    _replies, plan = settled_drivers(machines, ["nfs1", "oslo"], {"oslo": expected})
    assert plan.hosts["oslo"].agent == (Ids(1000, 998) if driver else Ids(1000, 1000))
    (question,) = machines.questions("oslo")
    assert question["root"] == "/opt/nanoclaw", "one request settles it"


def test_the_files_of_the_version_to_come_decide_before_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"nfs1": machine("nfs1"), "oslo": replace(machine("oslo", NO_ACCOUNT), driver=False)}
    machines = Machines(monkeypatch, states)
    _replies, plan = settled_drivers(machines, ["nfs1", "oslo"], {}, {"oslo": True})
    assert plan.hosts["oslo"].agent == Ids(1000, 998)


@pytest.mark.parametrize("names", [["nfs1"], ["nfs1", "oslo"]])
@pytest.mark.parametrize("driver", [False, True])
def test_a_server_remembers_the_agent_of_a_host_of_which_nothing_else_is_known(
    driver: bool, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that the run leaves out, or one with its project root on the pods."""
    machines = Machines(monkeypatch, {"nfs1": machine("nfs1"), "oslo": machine("oslo", NO_ACCOUNT)})
    gid = 998 if driver else 1000
    entry = ["/srv/pods/oslo", "10.0.0.2", "rw", "all_squash", "anonuid=1000", f"anongid={gid}"]
    machines.exports["nfs1"] = replace(NO_EXPORTS, table=[entry])
    _replies, plan = settled_drivers(machines, names, {"oslo": not driver})
    assert plan.hosts["oslo"].agent == Ids(1000, gid)


@pytest.mark.parametrize("name", ["nfs1", "oslo"])
def test_a_machine_that_does_not_reply_is_none_and_gets_no_second_request(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: dict[str, MachineState | None] = {
        "nfs1": machine("nfs1"),
        "oslo": replace(machine("oslo", NO_ACCOUNT), ids=FREE),
    }
    states[name] = None
    machines = Machines(monkeypatch, states)
    replies, _plan = settled(machines, ["nfs1", "oslo"], oslo={})
    assert replies.machines[name] is None and replies.exports[name] is None
    assert [reply for member, reply, _request in machines.asked if member == name] == [MachineState]
