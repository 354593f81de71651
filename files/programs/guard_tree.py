"""A tree that the guard keeps, and which of its directories the host writes in: for programs that import it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from files.programs.tree_entry import Rule, open_below, open_directory


class Tree:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.path: str = settings["path"]
        self.rule = Rule(settings["uid"], settings["gid"], frozenset(settings["uids"]), frozenset(settings["gids"]))
        self.hosts, self.shared = ([pattern.split("/") for pattern in settings[key]] for key in ("hosts", "shared"))
        self.there = False
        self.refused = 0

    def is_hosts(self, path: str) -> bool:
        return not path or matches(path, self.hosts)

    def is_watched(self, path: str) -> bool:
        return self.is_hosts(path) or matches(path, self.shared)

    def open(self, path: str) -> int:
        """Opens a directory of the tree, following no link below its root, and leaving its mount nowhere."""
        return open_below(open_directory(self.path), path.split("/") if path else [])


def matches(path: str, patterns: list[list[str]]) -> bool:
    parts = path.split("/")
    return any(len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)) for pattern in patterns)
