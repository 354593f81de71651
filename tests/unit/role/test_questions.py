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


def asked(
    monkeypatch: pytest.MonkeyPatch, fleet: FleetPlan, *, checked: bool
) -> dict[str, tuple[list[Question], int | None]]:
    """The questions, and the seconds, of each machine's look."""
    found: dict[str, tuple[list[Question], int | None]] = {}

    def together(member: Any, asked: list[Question], timeout: int | None = None) -> None:
        found[member.name] = asked, timeout

    monkeypatch.setattr(questions, "ask_together", together)
    monkeypatch.setattr(questions, "at_once", lambda members, _run, ask: [ask(member) for member in members])
    monkeypatch.setattr(questions, "state", SimpleNamespace(check_for_changes=checked))
    monkeypatch.setattr(questions, "KEY", "ab" * 32)
    members: Any = [SimpleNamespace(name=name) for name in (*fleet.servers, *fleet.hosts, "of nobody")]
    run: Any = None
    questions.ask_machines(fleet, members, run, walk_timeout=3600)
    return found


def test_a_host_is_asked_all_that_its_operations_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, planned("chown"), checked=True)
    host, seconds = found["@fake/chown"]
    assert [question.fact for question in host] == [*OF_HOST, Checkout, TreeOwners]
    assert [question.request.document()["peek"] for question in host if question.fact is Checkout] == [False, True]
    assert [question.payload for question in host] == [
        "ab" * 32 + "\n" if one is EnvFiles else "" for one in OF_HOST
    ] + [
        "",
        "",
    ]
    assert seconds == 3600, "a tree is walked"
    assert found["of nobody"] == ([], 300)


def test_without_a_check_phase_no_commit_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    host, seconds = asked(monkeypatch, planned("squash"), checked=False)["@fake/squash"]
    assert [question.fact for question in host] == OF_HOST
    assert seconds == 300, "the server walks the trees of a squashing export"


@pytest.mark.parametrize(("kind", "walks"), [("squash", True), ("chown", False)])
def test_a_server_is_asked_for_the_trees_that_it_walks(kind: str, walks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server, seconds = asked(monkeypatch, planned(kind), checked=True)["@fake/server"]
    assert [question.fact for question in server] == [Packages, Exports, *([TreeOwners] if walks else [])]
    assert server[0].request == PackagesRequest(["nfs-kernel-server"])
    assert seconds == (3600 if walks else 300)


def test_a_host_that_goes_back_to_v1_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = planned("squash", {"nanoclaw_v1_dir": "/v1", "nanoclaw_v1_rollback": True})
    assert set(asked(monkeypatch, fleet, checked=True)) == {"@fake/server", "of nobody"}
