"""What an NFS server exports, and to whom."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.fleet.plan import ServerPlan
from tasks.model.nfs.export_state import ExportState
from tasks.model.nfs.exports import DROPIN
from tasks.model.nfs.nfs_versions import CONF, TRIED


class Exports(ProgramFact[ExportState]):
    """The export table in force and in files, the server that serves it, and its clients."""

    program = "nfs.exports"
    document = ExportState

    def command(self, dropin: str, conf: str, tried: str, directories: list[str]) -> StringCommand:
        return self.ask(dropin=dropin, conf=conf, tried=tried, directories=directories)


def export_questions(plan: ServerPlan) -> dict[str, Any]:
    """The arguments of the fact for a server."""
    directories = sorted({export.path for export in plan.exports})
    return {"dropin": DROPIN, "conf": CONF, "tried": TRIED, "directories": directories}
