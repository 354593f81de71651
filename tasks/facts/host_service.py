"""What a machine's NanoClaw service is."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host import service_unit as texts
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


def service_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    return {
        "unit": plan.unit,
        **plan.host_user,
        "root": plan.root,
        "texts": [texts.unit_path(plan), texts.dropin_path(plan), texts.retry_path(plan), texts.rotation_path(plan)],
        "logs": [texts.log_directory(plan), *texts.log_files(plan)],
        "inputs": list(texts.inputs(plan)),
        "started": texts.started_record(plan),
    }
