"""A tree that the guard keeps, and which of its directories the host writes in: for programs that import it."""

from __future__ import annotations

import errno
import os
from fnmatch import fnmatchcase
from typing import Any

from files.programs.tree_walk import DIRECTORY, Rule, open_directory, place_of


class Tree:
    def __init__(self, settings: dict[str, Any]) -> None:
        self.path: str = settings["path"]
        self.rule = Rule(settings["uid"], settings["gid"], frozenset(settings["uids"]), frozenset(settings["gids"]))
        self.hosts, self.shared = ([pattern.split("/") for pattern in settings[key]] for key in ("hosts", "shared"))
        self.there = False
        self.refused = 0

    def is_hosts(self, path: str) -> bool:
        return not path or matches(path, self.hosts)

    def open(self, path: str) -> int:
        """Opens a directory of the tree, following no link below its root, and leaving its mount nowhere."""
        handle = open_directory(self.path)
        place = place_of(handle)
        for part in path.split("/") if path else []:
            try:
                below = os.open(part, DIRECTORY, dir_fd=handle)
            finally:
                os.close(handle)
            handle = below
        if place_of(handle) != place:
            os.close(handle)
            raise OSError(errno.EXDEV, "another mount")
        return handle


def matches(path: str, patterns: list[list[str]]) -> bool:
    parts = path.split("/")
    return any(len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)) for pattern in patterns)
