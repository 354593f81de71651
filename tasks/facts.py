"""What is on a machine: the entries of files/pods that only read, each a fact of pyinfra.

`None` is the third answer: unknown (the machine has no python3 yet, or printed nothing). Callers fail closed on it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase

from files.pods.common.protocol import ProtocolError, Reply, Request, decode
from files.pods.machine.protocol import BatchRequest
from tasks.bundle import BEGIN, END
from tasks.command import Unseen, run_program

Answer = TypeVar("Answer", bound=Reply)


@dataclass(frozen=True)
class Question:
    """A request to a machine, and the class of its reply."""

    reply: type[Reply]
    request: Request
    payload: str = field(default="", repr=False)
    """What the entry itself reads from standard input; it may be secret."""


class ProgramFact(FactBase[Answer | None], Generic[Answer]):
    """What an entry of files/pods replies to its request.

    An entry that fails, or prints anything else than the reply, fails that machine alone (`FactProcessError`), never
    the fleet.
    """

    abstract = True
    reply: type[Answer]

    @staticmethod
    def default() -> None:
        return None

    def command(self, request: Request) -> StringCommand:
        """The command that runs the entry. pyinfra ignores its standard input: see `arguments`."""
        more = sorted({it.entry for it in request.requests}) if isinstance(request, BatchRequest) else ()
        run = run_program(request.entry, request.document(), mark=True, more=more)
        # Without python3 there is no output, which is unknown; what is sent is read, else sending it fails.
        stdin = run.connector_arguments["_stdin"]
        tested = ("if command -v python3 >/dev/null 2>&1; then", run, "; else cat >/dev/null; fi")
        return StringCommand(*tested, _stdin=stdin)

    def process(self, output: list[str]) -> Answer:
        """The reply: whatever shells print before, after and around it (profiles, logout, escapes) is not it."""
        entry, why = self.reply.request.entry, None
        for document in _documents("\n".join(output)):
            try:
                return decode(self.reply, document, entry, exact=False)
            except ProtocolError as error:
                why = why or error
        printed = f"{entry} printed something else than its document"
        raise FactProcessError(f"{printed}: {why}" if why else printed) from why


_BRACES = 20
"""How many opening braces of one line may stand before its document."""


def _documents(text: str) -> Iterator[Any]:
    """The JSON objects that lines hold, the last line's first; between the marks, where the program set them."""
    begin, end = text.find(BEGIN), text.rfind(END)
    inside = text[begin + len(BEGIN) : end] if 0 <= begin < end else text
    for line in reversed(inside.split("\n")):
        place = line.find("{")
        for _turn in range(_BRACES):
            if place < 0:
                break
            try:
                yield json.JSONDecoder().raw_decode(line, place)[0]
                break
            except (ValueError, RecursionError):
                place = line.find("{", place + 1)


_FACTS: dict[type[Reply], type[ProgramFact[Any]]] = {}


def fact_of(reply: type[Answer]) -> type[ProgramFact[Answer]]:
    """The fact of an entry, by the class of its reply: pyinfra takes a class for each fact, and shows its name."""
    if reply not in _FACTS:
        _FACTS[reply] = type(reply.__name__, (ProgramFact,), {"reply": reply})
    return _FACTS[reply]


def arguments(reply: type[Reply], request: Request, payload: str = "") -> dict[str, Any]:
    """The arguments of `get_fact`: a request, and the standard input, which pyinfra takes of a fact only so.

    + payload: what the entry itself reads from its standard input
    """
    (stdin,) = fact_of(reply)().command(request).connector_arguments["_stdin"]
    return {"request": request, "_stdin": Unseen([stdin + payload])}
