"""The guard of a machine."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.ownership.guard import GuardState


class GuardFact(ProgramFact[GuardState]):
    """The guard's files, its unit and its process."""

    program = "guard.state"
    document = GuardState

    def command(self, unit: str, unit_file: str, program: str, prefix: str) -> StringCommand:
        return self.ask(unit=unit, unit_file=unit_file, program=program, prefix=prefix)
