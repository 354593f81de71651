"""The checkout of NanoClaw in a project root."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.checkout import CheckoutState
from tasks.model.ownership.owners import can_chown_on_export


class Checkout(ProgramFact[CheckoutState]):
    """What is checked out and built, and what is wanted. Asks the remote only if the answer is not here."""

    program = "source.checkout"
    document = CheckoutState

    def command(
        self,
        root: str,
        user: str,
        uid: int,
        gid: int,
        repository: str,
        ref: str,
        gives: bool,
        onecli: str | None,
        peek: bool,
    ) -> StringCommand:
        source = {"repository": repository, "ref": ref, "onecli": onecli, "peek": peek}
        return self.ask(root=root, user=user, uid=uid, gid=gid, gives=gives, **source)


def checkout_request(plan: HostPlan, *, peek: bool = False) -> dict[str, Any]:
    """What is asked of a host.

    + peek: whether a commit that is not there yet is looked at as well
    """
    settings = plan.settings
    return {
        "root": plan.root,
        **plan.host_user,
        "repository": settings.nanoclaw_repository,
        "ref": settings.nanoclaw_ref,
        "gives": can_chown_on_export(plan),
        "onecli": settings.nanoclaw_environment.get("ONECLI_URL"),
        "peek": peek,
    }
