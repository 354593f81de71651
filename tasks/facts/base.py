"""The shape of every fact: a program that prints one JSON document, and a type that it becomes.

`None` is the third answer: unknown (the machine has no python3 yet, or printed nothing). Callers fail closed on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase

from tasks.bundle import BEGIN, END
from tasks.command import Unseen, run_program

Document = TypeVar("Document")


class ProgramFact(FactBase[Document | None], Generic[Document]):
    """What a program of files/pods says of a machine, as `document`.

    Subclasses set both and define `command` with explicit parameters (pyinfra inspects them), as a call of `ask`.
    A program that fails, or prints anything else than the document, fails that machine alone
    (`FactProcessError`), never the fleet.
    """

    abstract = True
    program: str
    document: type[Document]

    @staticmethod
    def default() -> None:
        return None

    def ask(self, *more: str, **request: Any) -> StringCommand:
        """The command that runs the program with this request. pyinfra ignores its standard input: see `arguments`.

        + more: programs that this one runs itself
        """
        run = run_program(self.program, request, mark=True, more=more)
        # Without python3 there is no output, which is unknown; what is sent is read, else sending it fails.
        stdin = run.connector_arguments["_stdin"]
        tested = ("if command -v python3 >/dev/null 2>&1; then", run, "; else cat >/dev/null; fi")
        return StringCommand(*tested, _stdin=stdin)

    def process(self, output: list[str]) -> Document:
        """The document: whatever shells print before, after and around it (profiles, logout, escapes) is not it."""
        adapter = TypeAdapter(self.document)
        why: Exception | None = None
        for candidate in _documents("\n".join(output)):
            try:
                return adapter.validate_python(candidate)
            except Exception as error:
                why = why or error
        printed = f"{self.program} printed something else than its document"
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


def arguments(fact: type[ProgramFact[Any]], payload: str = "", **request: Any) -> dict[str, Any]:
    """The arguments of `get_fact` for a fact: its own, and the standard input that pyinfra takes of a fact only so.

    + payload: what the program itself reads from its standard input
    """
    command = fact().command(**request)
    (stdin,) = command.connector_arguments["_stdin"] if isinstance(command, StringCommand) else ("",)
    return {**request, "_stdin": Unseen([stdin + payload])}
