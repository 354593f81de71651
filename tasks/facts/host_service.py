"""What a machine's NanoClaw service is."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.host.service_state import ServiceState


class HostService(ProgramFact[ServiceState]):
    """The service's unit and its texts, its logs, what changed since it started, and what else runs its root."""

    program = "service.state"
    document = ServiceState

    def command(
        self,
        unit: str,
        user: str,
        uid: int,
        gid: int,
        root: str,
        texts: list[str],
        logs: list[str],
        inputs: list[str],
        started: str,
    ) -> StringCommand:
        return self.ask(
            unit=unit, user=user, uid=uid, gid=gid, root=root, texts=texts, logs=logs, inputs=inputs, started=started
        )
