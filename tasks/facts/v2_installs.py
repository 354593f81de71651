"""The NanoClaw v2 installs of a machine."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.adoption import Installs


class V2Installs(ProgramFact[Installs]):
    """Which NanoClaw v2 runs on a machine, or would, and what runs it; changes nothing."""

    program = "service.v2_installs"
    document = Installs

    def command(self, root: str, uid: int) -> StringCommand:
        return self.ask(root=root, uid=uid)


def installs_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    return {"root": plan.root, "uid": plan.host_ids.uid}
