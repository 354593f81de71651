"""Machines of the @fake connector reply to the stated requests, and to no others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyinfra.api.command import StringCommand

from files.pods.common.protocol import Reply, decode
from files.pods.machine.machine_state import MachineState
from files.pods.machine.protocol import RuntimeState
from files.pods.nfs.export_state import ExportState
from tasks.facts import fact_of
from tasks.model.nfs.nfs_versions import TRIED
from tests.fake.deploy import fleet, planned, replies
from tests.fake.kinds import KINDS
from tests.fake.replies import FakeReplies, _as_responses, single_command, with_request
from tests.fake.requests import requests

DATA = fleet(**KINDS)
RIGHT: dict[str, Any] = {
    "account": {"user": "nanoclaw", "uid": 1500, "gid": 1500},
    "agent": 1500,
    "paths": ["/pods", "/opt/nanoclaw/data/v2-sessions", "/opt/nanoclaw/groups"],
    "space": ["/var", "/opt/nanoclaw"],
    "places": {"paths": ["/opt/nanoclaw", "/pods"], "marks": {}, "enter": ["/opt/nanoclaw", "/pods"]},
}


def reply_of(machine: str, command: str) -> Any:
    """What a finished machine says to a command: a document, or None for a failure."""
    facts = _as_responses(replies(DATA, "finished")[machine], requests(planned(DATA))[machine])
    answer = next(answer for pattern, answer in facts.items() if pattern.search(command))
    return None if isinstance(answer, dict) else json.loads(answer)


def command(reply: type[Reply], request: dict[str, Any]) -> StringCommand:
    """The command of a fact with this request."""
    return fact_of(reply)().command(decode(reply.request, request, "request"))


def as_sent(command: Any) -> str:
    """A fact's command as the record of a run has it."""
    return with_request(command.get_raw_value(), command.connector_arguments["_stdin"])


def test_stated_request_gets_a_reply() -> None:
    assert reply_of("@fake/own", as_sent(command(MachineState, RIGHT)))["uid"] == 0


@pytest.mark.parametrize("key", ["account", "agent", "paths", "space"])
def test_request_without_an_argument_gets_no_reply(key: str) -> None:
    nothing: Any = [] if isinstance(RIGHT[key], list) else None
    assert reply_of("@fake/own", as_sent(command(MachineState, {**RIGHT, key: nothing}))) is None


@pytest.mark.parametrize("whom", [("root", 0, 0), ("nanoclaw", 1500, 1000), ("nanoclaw", 15000, 1500)])
def test_request_about_another_user_gets_no_reply(whom: tuple[str, int, int]) -> None:
    right = requests(planned(DATA))["@fake/own"]["machine.runtime"][0]
    assert (right["user"], right["uid"], right["gid"]) == ("nanoclaw", 1500, 1500)
    other = {**right, **dict(zip(("user", "uid", "gid"), whom, strict=True))}
    assert reply_of("@fake/own", as_sent(command(RuntimeState, other))) is None
    assert reply_of("@fake/own", as_sent(command(RuntimeState, right))) is not None


def test_reply_has_what_the_request_names() -> None:
    files = {
        "dropin": "/etc/exports.d/nanoclaw-pods.exports",
        "conf": "/etc/nfs.conf.d/nanoclaw-pods.conf",
        "tried": TRIED,
    }
    none = reply_of("@fake/server", as_sent(command(ExportState, {**files, "directories": []})))
    every = sorted(f"/srv/pods/{name}" for name in KINDS if name != "local")
    all_of_them = reply_of("@fake/server", as_sent(command(ExportState, {**files, "directories": every})))
    assert none["directories"] == {} and sorted(all_of_them["directories"]) == every
    assert reply_of("@fake/server", as_sent(command(ExportState, {**files, "directories": every[1:]}))) is None


def test_program_without_stated_requests_gets_no_reply() -> None:
    assert FakeReplies({"x": 1}, {"x": 1}, {})
    (answer,) = _as_responses({"x": 1}, {}).values()
    assert answer["success"] is False


@pytest.mark.parametrize("machine", sorted([*planned(DATA).hosts, *planned(DATA).servers]))
def test_every_program_has_stated_requests(machine: str) -> None:
    assert set(replies(DATA, "finished")[machine]) <= set(requests(planned(DATA))[machine])


def test_request_with_one_argument_more_gets_no_reply() -> None:
    account = {"account": {**RIGHT["account"], "shell": "/bin/sh"}}
    assert reply_of("@fake/own", single_command("machine.preflight", {**RIGHT, **account})) is None
