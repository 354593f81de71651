"""A tree that the guard keeps, and which of its directories the host writes in: for programs that import it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from files.pods.trees.entry import Rule, open_below, open_directory


class Tree:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.path: str = settings["path"]
        self.within: str = settings["within"]
        self.rule = Rule(settings["uid"], settings["gid"], frozenset(settings["uids"]), frozenset(settings["gids"]))
        self.hosts, self.shared = ([pattern.split("/") for pattern in settings[key]] for key in ("hosts", "shared"))
        self.there = False
        self.strange = False  # something else is in its place: the next sweep looks again
        self.refused = 0

    def is_hosts(self, path: str) -> bool:
        return not path or matches(path, self.hosts)

    def open(self, path: str) -> int:
        """Opens a directory of the tree, following no link below `within`, and leaving its mount nowhere."""
        parts = self.path[len(self.within) :].split("/") + path.split("/")
        return open_below(open_directory(self.within), [part for part in parts if part])


def session_of(tree: str, path: str) -> tuple[str, str]:
    """What one agent can write, as far as the path of a tree and one in it tell."""
    return tree, "/".join(path.split("/")[:2])


def matches(path: str, patterns: list[list[str]]) -> bool:
    parts = path.split("/")
    return any(len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)) for pattern in patterns)
