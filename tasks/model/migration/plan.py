"""The plan of one host's migration: what becomes of each part of its NanoClaw v1, and what that needs. Nothing is done.

`plan_migration` is the one entry. Each part has one fate; `tasks.model.migration.refusals` says what stands in the way.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.model.fleet.plan import HostPlan
from tasks.model.migration.chats import conversation_items, group_items, task_items
from tasks.model.migration.disk_space import Need, copy_seconds, needs
from tasks.model.migration.files import access_items, file_items, other_items, secret_items
from tasks.model.migration.plan_item import Fate, Item
from tasks.model.migration.v1_state import Install, Space

_SOURCES = (group_items, task_items, conversation_items, file_items, secret_items, access_items, other_items)


@dataclass(frozen=True)
class MigrationPlan:
    """What is to become of a NanoClaw v1."""

    items: tuple[Item, ...]
    needs: tuple[Need, ...]
    """Space, by file system."""
    seconds: int
    """How long the copies take, roughly."""

    def of(self, fate: Fate) -> list[Item]:
        """The items that have this fate."""
        return [item for item in self.items if item.fate == fate]


def plan_migration(install: Install, spaces: list[Space], host: HostPlan, *, staged: bool = False) -> MigrationPlan:
    """The plan for an install whose database was read.

    + spaces: what is free where v2 and the backup are to be
    + staged: whether an earlier run has made all copies already
    """
    items = tuple(item for source in _SOURCES for item in source(install))
    return MigrationPlan(items, needs(install, spaces, host, staged=staged), copy_seconds(install, host))
