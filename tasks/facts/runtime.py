"""Programs and the host user of a machine."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.runtime import RuntimeState


class RuntimeFact(ProgramFact[RuntimeState]):
    """Docker, git and Node, in whatever packaging, and the accounts that matter for the host user."""

    program = "machine.runtime"
    document = RuntimeState

    def command(self, user: str, uid: int, gid: int) -> StringCommand:
        return self.ask(user=user, uid=uid, gid=gid)


def runtime_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    return plan.host_user
