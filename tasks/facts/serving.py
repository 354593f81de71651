"""Whether a machine's NanoClaw serves."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import inputs, log_files, started_record
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


def serving_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    return {
        "unit": plan.unit,
        "root": plan.root,
        **plan.host_user,
        "inputs": list(inputs(plan)),
        "started": started_record(plan),
        "errors": log_files(plan)[1],
        "onecli": plan.settings.nanoclaw_environment.get("ONECLI_URL"),
    }
