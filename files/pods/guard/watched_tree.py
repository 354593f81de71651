"""A tree that the guard watches, and which of its directories the host writes to."""

from __future__ import annotations

from fnmatch import fnmatchcase

from files.pods.guard.protocol import WatchedTreeRequest
from files.pods.trees.entry import Rule, open_below, open_directory


class WatchedTree:
    """One tree: its owner rule, and patterns of the directories that the host or agents write to."""

    def __init__(self, request: WatchedTreeRequest) -> None:
        self.path, self.trusted_root = request.path, request.within
        self.rule = Rule(request.uid, request.gid, frozenset(request.uids), frozenset(request.gids))
        self.host_patterns, self.shared_patterns = (
            [pattern.split("/") for pattern in patterns] for patterns in (request.hosts, request.shared)
        )
        self.exists = False
        self.is_not_directory = False  # a link or a file: the next sweep checks again
        self.refusals = 0

    def is_host_only(self, path: str) -> bool:
        """Return whether only the host writes to a directory."""
        return not path or matches(path, self.host_patterns)

    def open(self, path: str) -> int:
        """Open a directory of the tree: follows no link below `within`, stays on the mount."""
        parts = self.path[len(self.trusted_root) :].split("/") + path.split("/")
        return open_below(open_directory(self.trusted_root), [part for part in parts if part])


def session_of(tree: str, path: str) -> tuple[str, str]:
    """Return the session that a path belongs to: what one agent can write."""
    return tree, "/".join(path.split("/")[:2])


def matches(path: str, patterns: list[list[str]]) -> bool:
    """Return whether a path matches one of the patterns, part by part."""
    parts = path.split("/")
    return any(len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)) for pattern in patterns)
