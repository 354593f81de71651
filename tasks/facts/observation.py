"""How an NFS server that the role does not manage treats the host process, the agent and root."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.access.observed_squash import ServerObservation


class ServerObservationFact(ProgramFact[ServerObservation]):
    """Who makes what as whom on an export; makes three directories there and removes them."""

    program = "nfs.observe_export"
    document = ServerObservation

    def command(
        self,
        address: str,
        path: str,
        version: str,
        transport: str,
        places: list[str],
        host: list[int],
        agent: list[int],
        seconds: int,
    ) -> StringCommand:
        source = {"address": address, "path": path, "version": version, "transport": transport}
        return self.ask(**source, places=places, host=host, agent=agent, seconds=seconds)
