"""What a run asks of its machines in one round trip each, before its operations need it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from files.pods.machine.protocol import PackagesReply, PackagesRequest
from files.pods.nfs.export_state import ExportState
from files.pods.source.protocol import CheckoutState
from files.pods.trees.protocol import TreesReply
from tasks import adoption, questions, session_drivers
from tasks.facts import Question
from tasks.model.fleet.plan import FleetPlan
from tests.fixtures.cases import CASES
from tests.fixtures.driver import SERVER, planned, run

NOT_FIRST = {
    "service.serving_state": "the verification asks it, at the end of a run",
    "probe.main": "the verification asks it: it makes a session and starts containers",
}
"""What operations ask of a host, but not in the one round trip, and why."""


def operation_requests(*, server: bool) -> set[str]:
    """The programs that the operations of a settled machine ask, in their own cases."""
    settled = [(name, case) for name, cases in CASES.items() for case in cases if "noop" in case]
    return {
        request.partition(" ")[0]
        for name, case in settled
        if (case.get("kind") == SERVER) is server
        for request in run(name, case).requests
    }


def requests_of(
    monkeypatch: pytest.MonkeyPatch, fleet: FleetPlan, *, checked: bool
) -> dict[str, tuple[list[Question], int | None]]:
    """The questions, and the seconds, of each machine's round trip."""
    requests: dict[str, tuple[list[Question], int | None]] = {}

    def together(member: Any, requests_of: list[Question], timeout: int | None = None) -> None:
        requests[member.name] = requests_of, timeout

    monkeypatch.setattr(questions, "ask_together", together)
    monkeypatch.setattr(questions, "at_once", lambda members, ask: [ask(member) for member in members])
    monkeypatch.setattr(session_drivers, "state", SimpleNamespace(check_for_changes=checked))
    monkeypatch.setattr(questions, "KEY", "ab" * 32)
    members: Any = [SimpleNamespace(name=name) for name in (*fleet.servers, *fleet.hosts, "of nobody")]
    questions.ask_machines(fleet, members)
    return requests


def test_one_round_trip_has_every_question_of_a_hosts_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = operation_requests(server=False)
    requests = requests_of(monkeypatch, planned("chown"), checked=True)
    host, seconds = requests["@fake/chown"]
    assert {question.request.entry for question in host} >= needed - set(NOT_FIRST)
    assert not {question.request.entry for question in host} & set(NOT_FIRST)
    assert "service.v2_installs" in {question.request.entry for question in host}, f"{adoption.__name__} asks it"
    peeks = [question.request.document()["peek"] for question in host if question.reply is CheckoutState]
    assert peeks == [False, True]
    payloads = {question.request.entry: question.payload for question in host if question.payload}
    assert payloads == {"service.env_state": "ab" * 32 + "\n"}
    assert "abab" not in repr(host), "pyinfra prints questions"
    assert seconds == 3600, "a tree is walked"
    assert requests["of nobody"] == ([], 300)


@pytest.mark.parametrize(("reply", "request_of"), questions.OF_HOSTS, ids=lambda it: it.__name__)
def test_each_question_of_the_list_has_the_reply_of_its_request(reply: Any, request_of: Any) -> None:
    assert get_type_hints(request_of)["return"] is reply.request


def test_without_a_check_phase_no_commit_is_peeked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    host, seconds = requests_of(monkeypatch, planned("squash"), checked=False)["@fake/squash"]
    assert [question.request.document()["peek"] for question in host if question.reply is CheckoutState] == [False]
    assert TreesReply not in [question.reply for question in host]
    assert seconds == 300, "the server walks the trees of a squashing export"


def test_where_the_agents_ids_depend_on_a_commit_it_is_peeked_into_in_every_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = planned("squash", {"nanoclaw_uid": 1000, "nanoclaw_gid": 998})
    host, _seconds = requests_of(monkeypatch, plan, checked=False)["@fake/squash"]
    peeks = [question.request.document()["peek"] for question in host if question.reply is CheckoutState]
    assert peeks == [False, True]


@pytest.mark.parametrize(("kind", "walks"), [("squash", True), ("chown", False)])
def test_the_round_trip_to_a_server_has_the_trees_that_it_walks(
    kind: str, walks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, seconds = requests_of(monkeypatch, planned(kind), checked=True)["@fake/server"]
    assert {question.request.entry for question in server} <= operation_requests(server=True)
    assert [question.reply for question in server] == [PackagesReply, ExportState, *([TreesReply] if walks else [])]
    assert server[0].request == PackagesRequest(["nfs-kernel-server"])
    assert seconds == (3600 if walks else 300)


def test_a_host_that_rolls_back_gets_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = planned("squash", {"nanoclaw_v1_dir": "/v1", "nanoclaw_v1_rollback": True})
    assert set(requests_of(monkeypatch, fleet, checked=True)) == {"@fake/server", "of nobody"}
