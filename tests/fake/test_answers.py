"""The machines of the @fake connector answer what they are asked: another question gets no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyinfra.api.command import StringCommand

from files.pods.common.protocol import decode
from files.pods.machine.protocol import RuntimeRequest
from tasks.facts import Exports, MachineFact, ProgramFact, RuntimeFact
from tasks.model.nfs.nfs_versions import TRIED
from tests.fake.answers import Answers, _as_responses, asked_alone, with_request
from tests.fake.deploy import answers, fleet, planned
from tests.fake.kinds import KINDS
from tests.fake.requests import requests

DATA = fleet(**KINDS)
RIGHT: dict[str, Any] = {
    "account": {"user": "nanoclaw", "uid": 1500, "gid": 1500},
    "agent": 1500,
    "paths": ["/pods", "/opt/nanoclaw/data/v2-sessions", "/opt/nanoclaw/groups"],
    "space": ["/var", "/opt/nanoclaw"],
    "places": {"look": ["/opt/nanoclaw", "/pods"], "marks": {}, "enter": ["/opt/nanoclaw", "/pods"]},
}


def said(machine: str, command: str) -> Any:
    """What a finished machine says to a command: a document, or None for a failure."""
    facts = _as_responses(answers(DATA, "finished")[machine], requests(planned(DATA))[machine])
    answer = next(answer for pattern, answer in facts.items() if pattern.search(command))
    return None if isinstance(answer, dict) else json.loads(answer)


def command(fact: type[ProgramFact[Any]], request: dict[str, Any]) -> StringCommand:
    """The command of a fact with this request."""
    return fact().command(decode(fact.request, request, "request"))


def as_sent(command: Any) -> str:
    """A fact's command as the record of a run has it."""
    return with_request(command.get_raw_value(), command.connector_arguments["_stdin"])


def test_a_right_question_is_answered() -> None:
    assert said("@fake/own", as_sent(command(MachineFact, RIGHT)))["uid"] == 0


@pytest.mark.parametrize("key", ["account", "agent", "paths", "space"])
def test_a_question_that_is_left_out_gets_no_answer(key: str) -> None:
    nothing: Any = [] if isinstance(RIGHT[key], list) else None
    assert said("@fake/own", as_sent(command(MachineFact, {**RIGHT, key: nothing}))) is None


@pytest.mark.parametrize("whom", [("root", 0, 0), ("nanoclaw", 1500, 1000), ("nanoclaw", 15000, 1500)])
def test_a_question_about_another_user_gets_no_answer(whom: tuple[str, int, int]) -> None:
    assert said("@fake/own", as_sent(RuntimeFact().command(RuntimeRequest(*whom)))) is None
    assert said("@fake/own", as_sent(RuntimeFact().command(RuntimeRequest("nanoclaw", 1500, 1500)))) is not None


def test_what_is_answered_is_what_was_asked_for() -> None:
    files = {
        "dropin": "/etc/exports.d/nanoclaw-pods.exports",
        "conf": "/etc/nfs.conf.d/nanoclaw-pods.conf",
        "tried": TRIED,
    }
    none = said("@fake/server", as_sent(command(Exports, {**files, "directories": []})))
    every = sorted(f"/srv/pods/{name}" for name in KINDS if name != "local")
    all_of_them = said("@fake/server", as_sent(command(Exports, {**files, "directories": every})))
    assert none["directories"] == {} and sorted(all_of_them["directories"]) == every
    assert said("@fake/server", as_sent(command(Exports, {**files, "directories": every[1:]}))) is None


def test_a_program_without_stated_requests_is_not_answered() -> None:
    assert Answers({"x": 1}, {"x": 1}, {})
    (answer,) = _as_responses({"x": 1}, {}).values()
    assert answer["success"] is False


@pytest.mark.parametrize("machine", sorted([*planned(DATA).hosts, *planned(DATA).servers]))
def test_every_program_has_its_requests_stated(machine: str) -> None:
    assert set(answers(DATA, "finished")[machine]) <= set(requests(planned(DATA))[machine])


def test_one_argument_more_gets_no_answer() -> None:
    asked = {"account": {**RIGHT["account"], "shell": "/bin/sh"}}
    assert said("@fake/own", asked_alone("machine.preflight", {**RIGHT, **asked})) is None
