"""Many questions to one machine, in one round trip."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact, arguments


@dataclass(frozen=True)
class Question:
    """What is asked of a machine: a fact, the request of its program, and what that reads from standard input."""

    fact: type[ProgramFact[Any]]
    request: dict[str, Any]
    payload: str = ""

    def sent(self) -> dict[str, Any]:
        """The request as the fact's command sends it to its program."""
        stdin = arguments(self.fact, **self.request)["_stdin"]
        request: dict[str, Any] = json.loads("".join(stdin).split("\n")[1])["request"]
        return request


@dataclass(frozen=True)
class Answers:
    """What the programs printed, in the order of the questions; None where one failed."""

    replies: list[str | None]


class Look(ProgramFact[Answers]):
    """The answers to many questions: each is {"entry", "request"}."""

    program = "machine.look"
    document = Answers

    def command(self, questions: list[dict[str, Any]]) -> StringCommand:
        return self.ask(*sorted({question["entry"] for question in questions}), questions=questions)
