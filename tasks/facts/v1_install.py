"""The NanoClaw v1 of a machine."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.migration.v1_state import V1State


class V1Install(ProgramFact[V1State]):
    """Where a NanoClaw v1 is, what it has and what runs it; changes nothing."""

    program = "v1.inspect"
    document = V1State

    def command(self, dir: str, root: str, uid: int, space: list[dict[str, str | None]], seconds: int) -> StringCommand:
        return self.ask(dir=dir, root=root, uid=uid, space=space, seconds=seconds)
