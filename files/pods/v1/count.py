"""Count the trees of a NanoClaw v1: their size, and entries that NanoClaw's own migration skips or fails on.

For programs that import it. It counts names and reads no content.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator

from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import Rule, open_directory
from files.pods.trees.walk import Step, Walk
from files.pods.v1.snapshot_dir import TREES, kind_of
from files.pods.v1.v1_state import Tree

NO_OWNER = Rule(-1, -1, frozenset(), frozenset())
SAMPLES = 3
WITHIN = (".git", "node_modules")
"""Directories that count as one thing, whatever they hold."""
NO_LINKS = {
    "store": re.compile("auth"),
    "groups": re.compile("[^/]+"),
    "data": re.compile("sessions(/[^/]+(/.claude(/projects(/-workspace-group)?)?)?)?"),
}
"""Paths in v1 that are read only if they are no links."""
WRITTEN_BY_V2 = re.compile("[^/]+/(CLAUDE.local.md|CLAUDE.global.md|container.json)")
"""In groups."""


class Count(Walk):
    """Count one tree in one walk, and change nothing."""

    def __init__(self, root: int, tree: str) -> None:
        super().__init__(root, NO_OWNER, apply=False)
        self.tree, self.groups = tree, tree == "groups"
        self.bytes = self.entries = 0
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[str]] = {}

    def visit(self, name: str) -> Iterator[Step]:
        info = os.stat(name, dir_fd=self.frames[-1].fd, follow_symlinks=False)
        self.entries += 1
        if stat.S_ISREG(info.st_mode):
            self.bytes += info.st_size
        kind = self.kind(name, info.st_mode)
        if kind and not any(frame.name in WITHIN for frame in self.frames[1:]):
            self.record(kind, self.path_of(name))
        if self.is_in_the_way(name, info.st_mode):
            self.record("in the way", self.path_of(name))
        yield from super().visit(name)

    def kind(self, name: str, mode: int) -> str | None:
        """Return what an entry counts as: a link, or in groups what NanoClaw's own copy skips at every depth."""
        depth = len(self.frames)  # 1 at the top of the tree, 2 in the folder of a group
        if stat.S_ISLNK(mode):
            return "link"
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            return "special"
        if not self.groups or depth < 2:
            return None
        if name in WITHIN:
            return name
        return {"CLAUDE.md": "memory", "logs": "logs"}.get(name) if depth > 2 else None

    def is_in_the_way(self, name: str, mode: int) -> bool:
        """Return whether the audit of the migration would report it as lost, every time."""
        if len(self.frames) > 5:  # nothing of NO_LINKS lies deeper
            return False
        if stat.S_ISLNK(mode) and NO_LINKS[self.tree].fullmatch(self.path_of(name)):
            return True
        return self.groups and WRITTEN_BY_V2.fullmatch(self.path_of(name)) is not None

    def record(self, kind: str, path: str) -> None:
        """Count an entry, and keep the first few paths."""
        self.counts[kind] += 1
        known = self.samples.setdefault(kind, [])
        if len(known) < SAMPLES:
            known.append(escape_control(path))


def count(root: str, tree: str) -> Tree:
    """Count one tree of an install."""
    state = kind_of(f"{root}/{tree}")
    if state != "there":
        return Tree(state, 0, 0, {}, {})
    try:
        walk = Count(open_directory(f"{root}/{tree}"), tree)
        for verdict, name in walk:
            if verdict.error:
                walk.record("unreadable", walk.path_of(name))
    except PermissionError:
        return Tree("unreadable", 0, 0, {}, {})
    return Tree("there", walk.bytes, walk.entries, dict(walk.counts), walk.samples)


def counts(root: str) -> dict[str, Tree]:
    """Count all trees of an install."""
    return {tree: count(root, tree) for tree in TREES}
