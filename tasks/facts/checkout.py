"""The checkout of NanoClaw in a project root."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.host.checkout import CheckoutState


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
