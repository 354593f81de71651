"""How far the migration of a machine has come."""

from __future__ import annotations

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.migration.paths import Progress


class MigrationProgress(ProgramFact[Progress]):
    """The journal of a machine's migration, and what decides which of v1 and v2 starts."""

    program = "migration.state"
    document = Progress

    def command(self, directory: str, service: str, root: str, marker: str) -> StringCommand:
        return self.ask(directory=directory, service=service, root=root, marker=marker)
