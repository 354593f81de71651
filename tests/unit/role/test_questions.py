"""What a run asks of its machines in one round trip each, before its operations need it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from files.pods.machine.protocol import PackagesRequest
from tasks import questions
from tasks.facts import (
    AgentImage,
    Checkout,
    ContainerFirewall,
    EnvFiles,
    Exports,
    GuardFact,
    HostService,
    Mounts,
    Packages,
    Question,
    RuntimeFact,
    TreeOwners,
    V2Installs,
)
from tasks.model.fleet.plan import FleetPlan
from tests.fixtures.driver import planned

OF_HOST = [
    V2Installs,
    RuntimeFact,
    Mounts,
    ContainerFirewall,
    Checkout,
    GuardFact,
    AgentImage,
    EnvFiles,
    HostService,
]


def requests_of(
    monkeypatch: pytest.MonkeyPatch, fleet: FleetPlan, *, checked: bool
) -> dict[str, tuple[list[Question], int | None]]:
    """The questions, and the seconds, of each machine's look."""
    requests: dict[str, tuple[list[Question], int | None]] = {}

    def together(member: Any, requests_of: list[Question], timeout: int | None = None) -> None:
        requests[member.name] = requests_of, timeout

    monkeypatch.setattr(questions, "ask_together", together)
    monkeypatch.setattr(questions, "at_once", lambda members, _run, ask: [ask(member) for member in members])
    monkeypatch.setattr(questions, "state", SimpleNamespace(check_for_changes=checked))
    monkeypatch.setattr(questions, "KEY", "ab" * 32)
    members: Any = [SimpleNamespace(name=name) for name in (*fleet.servers, *fleet.hosts, "of nobody")]
    run: Any = None
    questions.ask_machines(fleet, members, run, walk_timeout=3600)
    return requests


def test_the_first_look_has_every_question_of_a_hosts_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = requests_of(monkeypatch, planned("chown"), checked=True)
    host, seconds = requests["@fake/chown"]
    assert [question.fact for question in host] == [*OF_HOST, Checkout, TreeOwners]
    assert [question.request.document()["peek"] for question in host if question.fact is Checkout] == [False, True]
    assert [question.payload for question in host] == [
        "ab" * 32 + "\n" if one is EnvFiles else "" for one in OF_HOST
    ] + [
        "",
        "",
    ]
    assert seconds == 3600, "a tree is walked"
    assert requests["of nobody"] == ([], 300)


def test_without_a_check_phase_no_commit_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    host, seconds = requests_of(monkeypatch, planned("squash"), checked=False)["@fake/squash"]
    assert [question.fact for question in host] == OF_HOST
    assert seconds == 300, "the server walks the trees of a squashing export"


@pytest.mark.parametrize(("kind", "walks"), [("squash", True), ("chown", False)])
def test_the_first_look_of_a_server_has_the_trees_that_it_walks(
    kind: str, walks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, seconds = requests_of(monkeypatch, planned(kind), checked=True)["@fake/server"]
    assert [question.fact for question in server] == [Packages, Exports, *([TreeOwners] if walks else [])]
    assert server[0].request == PackagesRequest(["nfs-kernel-server"])
    assert seconds == (3600 if walks else 300)


def test_a_host_that_rolls_back_gets_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = planned("squash", {"nanoclaw_v1_dir": "/v1", "nanoclaw_v1_rollback": True})
    assert set(requests_of(monkeypatch, fleet, checked=True)) == {"@fake/server", "of nobody"}
