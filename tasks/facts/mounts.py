"""What is mounted where the pods belong, and what lies beneath."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.nfs.mount_state import MountState


class Mounts(ProgramFact[MountState]):
    """The pods' mount and its binds: live, in unit files, in fstab; and the directories beneath them."""

    program = "nfs.mounts"
    document = MountState

    def command(
        self, pods: str, binds: list[list[str]], units: dict[str, str], stamp: str, tried: str
    ) -> StringCommand:
        return self.ask(pods=pods, binds=binds, units=units, stamp=stamp, tried=tried)
