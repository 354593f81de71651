"""Whose the entries of trees are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyinfra.api.command import StringCommand

from tasks.facts.base import ProgramFact
from tasks.model.ownership.trees import Tree, TreeReports


class TreeOwners(ProgramFact[TreeReports]):
    """How many entries of each tree are not their owner's, from one walk over metadata."""

    program = "trees.main"
    document = TreeReports

    def command(self, trees: list[dict[str, object]]) -> StringCommand:
        return self.ask(apply=False, trees=trees)


def trees_request(trees: Sequence[Tree]) -> dict[str, Any]:
    """What is asked about trees."""
    return {"trees": [tree.arguments() for tree in trees]}
