"""What a machine's .env says, in digests, and who may read it."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.env_files import EnvState, places


class EnvFiles(ProgramFact[EnvState]):
    """Keyed digests of the named entries of .env, and the rights of the places that hold secrets."""

    program = "service.env_state"
    document = EnvState

    def command(self, root: str, names: list[str], places: list[str]) -> StringCommand:
        return self.ask(root=root, names=names, places=places)


def env_request(plan: HostPlan) -> dict[str, Any]:
    """What is asked of a host."""
    return {"root": plan.root, "names": sorted(plan.settings.nanoclaw_env), "places": list(places(plan.root))}
