"""Where a machine keeps what belongs to its migration, and how far that has come."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from files.pods.migration.protocol import ProgressRequest
from tasks.model.fleet.plan import HostPlan
from tasks.model.host.service_unit import STATE_DIRECTORY, name_of
from tasks.model.migration.journal import Journal
from tasks.model.migration.v1_state import Install


@dataclass(frozen=True)
class Progress:
    """What files/pods/migration/state.py says of a machine."""

    journal: Journal | None
    under_way: bool
    decided: bool
    """Whether v2 is what starts."""
    recorded: bool
    """Whether the record is of the journal as it is now."""
    v2_has_state: bool
    """Whether v2's project root has a database already."""

    @property
    def needs_rollback(self) -> bool:
        """Whether there is a way back to go: v2 is what starts, or nobody does."""
        return self.decided or (self.journal is not None and self.journal.state in ("finished", "switching"))

    def is_staged(self, install: Install) -> bool:
        """Whether v2 has all copies of this v1 beside it already, and was never started."""
        journal = self.journal
        known = journal and (journal.v1, journal.chats) == (install.path, chats_digest(install))
        return bool(known and journal and journal.state == "staged" and not journal.aside)


def chats_digest(install: Install) -> str:
    """A digest of v1's groups: NanoClaw's own steps add to those that v2 has, and take none back."""
    groups = sorted(json.dumps(asdict(group), sort_keys=True) for group in install.database.groups)
    return hashlib.sha256("\n".join(groups).encode()).hexdigest()[:16]


def directory(plan: HostPlan) -> str:
    """Where a machine keeps the journal, the record and the backup of its migration."""
    return f"{STATE_DIRECTORY}/{name_of(plan)}.migration"


def service(plan: HostPlan) -> str:
    """The transient unit that runs a part of a migration."""
    return f"nanoclaw-pods-migration-{plan.slug}.service"


def marker(plan: HostPlan) -> str:
    """The file whose being there has v2 start and v1 not."""
    return f"/etc/nanoclaw-pods/{name_of(plan)}.migrated"


def ran(plan: HostPlan) -> str:
    """The file that is there while a v1 is stopped that ran before."""
    return f"{directory(plan)}/v1-ran"


def trying(plan: HostPlan) -> str:
    """The file that is there while v1 is stopped and v2 has not passed its gate; a crash takes it away."""
    return f"/run/nanoclaw-pods-{plan.slug}.trying"


def progress_request(plan: HostPlan) -> ProgressRequest:
    """What the fact MigrationProgress is asked of a machine."""
    return ProgressRequest(directory(plan), service(plan), plan.root, marker(plan))
