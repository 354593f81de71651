"""Whether a machine's NanoClaw serves."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.host.serving import ServingState


class ServingFact(ProgramFact[ServingState]):
    """Whether the service answers on its socket, and from which code."""

    program = "service.serving_state"
    document = ServingState

    def command(
        self,
        unit: str,
        root: str,
        user: str,
        uid: int,
        gid: int,
        inputs: list[str],
        started: str,
        errors: str,
        onecli: str | None,
    ) -> StringCommand:
        where = {"unit": unit, "root": root, "inputs": inputs, "started": started, "errors": errors}
        return self.ask(**where, user=user, uid=uid, gid=gid, onecli=onecli)
