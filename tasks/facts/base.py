"""The shape of every fact: a program that prints one JSON document, and a type that it becomes.

`None` is the third answer: unknown (the machine has no python3 yet, or printed nothing). Callers fail closed on it.
"""

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase

from tasks.command import run_program

Document = TypeVar("Document")


class ProgramFact(FactBase[Document | None], Generic[Document]):
    """What `files/programs/<program>.py` says of a machine, as `document`.

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

    def requires_command(self, *args: Any, **kwargs: Any) -> str:
        return "python3"

    def ask(self, **arguments: Any) -> StringCommand:
        """The command that runs the program with these arguments."""
        return run_program(self.program, arguments)

    def process(self, output: list[str]) -> Document:
        try:
            return TypeAdapter(self.document).validate_python(json.loads(output[-1]))
        except Exception as error:
            raise FactProcessError(f"{self.program} printed something else than its document: {error}") from error
