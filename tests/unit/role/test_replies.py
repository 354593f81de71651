"""For how long a reply of a machine holds."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from files.pods.machine.protocol import BatchReply, EntryRequest, PackagesReply, PackagesRequest
from tasks import replies as module
from tasks.facts import Question, fact_of
from tasks.model.fleet.plan import HOSTS, SERVERS
from tasks.replies import HOLDS, Replies, ask_machine, ask_together

QUESTION = Question(PackagesReply, PackagesRequest(["dpkg"]))
OTHER = Question(PackagesReply, PackagesRequest(["git"]))
REPLY = PackagesReply({"dpkg": "1"})


class Member:
    """A machine that answers, and counts how often it is asked."""

    def __init__(self, name: str, group: str = HOSTS, answer: Any = REPLY) -> None:
        self.name, self.groups, self.answer = name, [group], answer
        self.asked: list[Any] = []

    def get_fact(self, fact: Any, **arguments: Any) -> Any:
        """Its answer."""
        self.asked.append((fact, arguments))
        return self.answer


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Replies:
    replies = Replies()
    monkeypatch.setattr(module, "replies", lambda: replies)
    return replies


def ask(member: Any, question: Question = QUESTION) -> Any:
    return ask_machine(member, question.reply, question.request, timeout=5)


def test_a_reply_is_kept(known: Replies) -> None:
    member = Member("oslo")
    assert ask(member) == ask(member) == REPLY
    assert len(member.asked) == 1 and member.asked[0][1]["_timeout"] == 5


def test_another_question_or_machine_makes_a_request(known: Replies) -> None:
    oslo, bergen = Member("oslo"), Member("bergen")
    ask(oslo), ask(oslo, OTHER), ask(bergen)
    assert (len(oslo.asked), len(bergen.asked)) == (2, 1)


def test_an_unknown_reply_is_not_kept(known: Replies) -> None:
    member = Member("oslo", answer=None)
    assert ask(member) is ask(member) is None
    assert len(member.asked) == 2


def test_a_change_on_a_host_ends_its_own_replies(known: Replies) -> None:
    oslo, bergen = Member("oslo"), Member("bergen")
    ask(oslo), ask(bergen)
    known.forget(oslo)  # type: ignore[arg-type]
    ask(oslo), ask(bergen)
    assert (len(oslo.asked), len(bergen.asked)) == (2, 1)


def test_a_change_on_a_server_ends_all_replies(known: Replies) -> None:
    oslo, server = Member("oslo"), Member("nfs1", SERVERS)
    ask(oslo), ask(server)
    known.forget(server)  # type: ignore[arg-type]
    ask(oslo), ask(server)
    assert (len(oslo.asked), len(server.asked)) == (2, 2)


@pytest.mark.parametrize(("age", "times"), [(HOLDS - 1, 1), (HOLDS + 1, 2)])
def test_a_reply_grows_old(known: Replies, monkeypatch: pytest.MonkeyPatch, age: int, times: int) -> None:
    """A run may wait at its prompt for an hour."""
    member, now = Member("oslo"), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    ask(member)
    monkeypatch.setattr(time, "monotonic", lambda: now + age)
    ask(member)
    assert len(member.asked) == times


@pytest.mark.parametrize("ended", [module._Others.operation_host_success, module._Others.operation_host_error])
@pytest.mark.parametrize(("own", "times"), [(True, 1), (False, 2)])
def test_an_operation_of_somebody_else_may_have_changed_anything(
    known: Replies, ended: Any, own: bool, times: int
) -> None:
    """Also one that failed."""
    member = Member("oslo")
    ask(member)
    if own:
        known.own.add(("oslo", "ab12"))
    ended(SimpleNamespace(), member, "ab12")
    ask(member)
    assert len(member.asked) == times


def test_many_questions_are_one_round_trip_and_a_failed_one_is_repeated_alone(known: Replies) -> None:
    member = Member("oslo", answer=BatchReply(['{"installed": {"dpkg": "1"}}', None]))
    ask_together(member, [QUESTION, OTHER], 60)  # type: ignore[arg-type]
    ((fact, arguments),) = member.asked
    assert fact is fact_of(BatchReply) and arguments["_timeout"] == 60 and arguments["_ignore_errors"]
    assert arguments["request"].requests == [
        EntryRequest("machine.packages", {"packages": ["dpkg"]}),
        EntryRequest("machine.packages", {"packages": ["git"]}),
    ]
    assert ask(member) == REPLY and len(member.asked) == 1
    ask(member, OTHER)
    assert len(member.asked) == 2


@pytest.mark.parametrize("printed", ["", "{}", "Killed"])
def test_a_reply_that_is_no_document_is_requested_alone(known: Replies, printed: str) -> None:
    member = Member("oslo", answer=BatchReply([printed, printed]))
    ask_together(member, [QUESTION, OTHER])  # type: ignore[arg-type]
    member.answer = REPLY
    assert ask(member) == REPLY and len(member.asked) == 2


def test_a_batch_does_not_repeat_a_known_question(known: Replies) -> None:
    member = Member("oslo")
    ask(member)
    ask_together(member, [QUESTION, OTHER])  # type: ignore[arg-type]
    assert len(member.asked) == 1, "one question alone needs no batch"
