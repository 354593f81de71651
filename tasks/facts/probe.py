"""Acting as the host and as the agent. Not for a check phase: it makes a scratch session, and removes it."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.ownership.probe_report import Observations


class Probe(ProgramFact[Observations]):
    """How a scratch session went, and what the agent cannot write of the sessions that exist."""

    program = "probe.main"
    document = Observations

    def command(self, arguments: dict[str, Any]) -> StringCommand:
        return self.ask(**arguments)
