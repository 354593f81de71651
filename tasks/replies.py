"""What machines have answered in this run, and for how long that holds.

Truth comes first. A reply holds until a command has been sent to its machine, or to any NFS server, since that decides
what hosts see. It holds for ten minutes at most: a run may wait at its prompt, or for its turn among many machines.
"""

import json
import time
from collections.abc import Sequence
from typing import Any, TypeVar

from pyinfra import state
from pyinfra.api.host import Host
from pyinfra.api.state import BaseStateCallback, State

from files.pods.common.protocol import Reply, Request
from files.pods.machine.protocol import BatchReply, BatchRequest, EntryRequest
from tasks.facts import ProgramFact, Question, arguments, fact_of
from tasks.model.fleet.plan import SERVERS
from tasks.run_context import run_context

Answer = TypeVar("Answer", bound=Reply)

HOLDS = 600
"""Seconds that a reply holds."""


class Replies:
    """The replies of all machines of a run."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, tuple[float, Any]]] = {}
        self.own: set[tuple[str, str | None]] = set()
        """Operations of the role, by machine: they say themselves what they change."""

    def get(self, name: str, question: Question) -> Any:
        """The reply of a machine, or None where it is not known any more."""
        at, reply = self._known.get(name, {}).get(_key(question), (0.0, None))
        return reply if time.monotonic() - at < HOLDS else None

    def keep(self, name: str, question: Question, reply: Any) -> None:
        """Keep the reply of a machine."""
        self._known.setdefault(name, {})[_key(question)] = (time.monotonic(), reply)

    def forget(self, member: Host) -> None:
        """Something has changed on a machine."""
        if SERVERS in member.groups:
            self._known.clear()
        self._known.pop(member.name, None)


def _key(question: Question) -> str:
    return f"{question.request.entry} {json.dumps(question.request.document(), sort_keys=True)}"


class _Others(BaseStateCallback):
    """Operations that are none of the role's may change anything."""

    @staticmethod
    def operation_host_success(state: State, host: Host, op_hash: str, retry_count: int = 0) -> None:
        _ended(host, op_hash)

    @staticmethod
    def operation_host_error(
        state: State, host: Host, op_hash: str, retry_count: int = 0, max_retries: int = 0
    ) -> None:
        _ended(host, op_hash)


def _ended(host: Host, op_hash: str) -> None:
    if (host.name, op_hash) not in replies().own:
        replies().forget(host)


def replies() -> Replies:
    """Those of this run."""
    run = run_context()
    if run.replies is None:
        run.replies = Replies()
        state.add_callback_handler(_Others())  # type: ignore[no-untyped-call]
    return run.replies


def ask_machine(
    member: Host, reply: type[Answer], request: Request, payload: str = "", timeout: int | None = None
) -> Answer | None:
    """What a machine replies; None where that is unknown.

    + payload: what the entry itself reads from its standard input
    + timeout: seconds; inside of an operation its own
    """
    question = Question(reply, request, payload)
    known: Answer | None = replies().get(member.name, question)
    if known is not None:
        return known
    limit = {"_timeout": timeout} if timeout is not None else {}
    answer: Answer | None = member.get_fact(fact_of(reply), **arguments(reply, request, payload), **limit)
    if answer is not None:
        replies().keep(member.name, question, answer)
    return answer


def ask_together(member: Host, questions: Sequence[Question], timeout: int | None = None) -> None:
    """Ask a machine what is not known yet, in one round trip. What fails is asked again by whoever needs it."""
    due = [question for question in questions if replies().get(member.name, question) is None]
    if len(due) < 2:
        return
    request = BatchRequest([EntryRequest(each.request.entry, each.request.document()) for each in due])
    payload = json.dumps([question.payload for question in due])
    limit = {"_timeout": timeout} if timeout is not None else {}
    fact: type[ProgramFact[BatchReply]] = fact_of(BatchReply)
    sent = {**arguments(BatchReply, request, payload), **limit}
    answers: BatchReply | None = member.get_fact(fact, **sent, _ignore_errors=True)
    for question, reply in zip(due, answers.replies if answers else (), strict=False):
        if reply is not None:
            _keep(member, question, reply)


def _keep(member: Host, question: Question, reply: str) -> None:
    try:
        document = fact_of(question.reply)().process(reply.split("\n"))
    except Exception:  # whoever needs it asks alone, and is told why
        return
    replies().keep(member.name, question, document)
