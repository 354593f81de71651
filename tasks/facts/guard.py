"""The guard of a machine."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.bundle import bundle
from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.guard import UNIT_PREFIX, GuardState, guard_unit, program_file, unit_file


class GuardFact(ProgramFact[GuardState]):
    """The guard's files, its unit and its process."""

    program = "guard.state"
    document = GuardState

    def command(self, unit: str, unit_file: str, program: str, prefix: str) -> StringCommand:
        return self.ask(unit=unit, unit_file=unit_file, program=program, prefix=prefix)


def guard_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    program = program_file(bundle("guard.main"))
    return {"unit": guard_unit(plan), "unit_file": unit_file(plan), "program": program, "prefix": UNIT_PREFIX}
