"""What a machine is, before anything is done to it."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.host.machine import MachineState


class MachineFact(ProgramFact[MachineState]):
    """The machine's system, mounts, host user and free space."""

    program = "machine.preflight"
    document = MachineState

    def command(
        self,
        paths: list[str],
        account: dict[str, str | int] | None,
        agent: int | None,
        space: list[str],
        places: dict[str, Any],
        ids: list[int] | None = None,
        user: str | None = None,
    ) -> StringCommand:
        numbers = {"ids": ids, "user": user} if ids else {}
        return self.ask(paths=paths, account=account, agent=agent, space=space, places=places, **numbers)
