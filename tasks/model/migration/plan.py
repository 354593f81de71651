"""The plan of one host's migration: the disposition of each part of its NanoClaw v1, and the space it needs.

`plan_migration` is the one entry. `tasks.model.migration.refusals` says why a plan is refused.
"""

from dataclasses import dataclass

from files.pods.v1.v1_state import Install, Space
from tasks.model.fleet.plan import HostPlan
from tasks.model.migration.chats import conversation_items, group_items, task_items
from tasks.model.migration.disk_space import Need, copy_seconds, needs
from tasks.model.migration.files import access_items, file_items, other_items, secret_items
from tasks.model.migration.plan_item import Disposition, PlanItem

_SOURCES = (group_items, task_items, conversation_items, file_items, secret_items, access_items, other_items)


@dataclass(frozen=True)
class MigrationPlan:
    """List the disposition of each part of a NanoClaw v1."""

    items: tuple[PlanItem, ...]
    needs: tuple[Need, ...]
    """Space, by file system."""
    seconds: int
    """How long the copies take, roughly."""

    def of(self, disposition: Disposition) -> list[PlanItem]:
        """Return the items that have this disposition."""
        return [item for item in self.items if item.disposition == disposition]


def plan_migration(install: Install, spaces: list[Space], host: HostPlan, *, staged: bool = False) -> MigrationPlan:
    """Plan the migration of an install with a readable database.

    + spaces: free space where v2 and the backup go
    + staged: whether an earlier run has made all copies
    """
    items = tuple(item for source in _SOURCES for item in source(install))
    return MigrationPlan(items, needs(install, spaces, host, staged=staged), copy_seconds(install, host))
