"""Chown of named entries of a tree, several at once.

A path is resolved from the tree's open root, directory by directory, through no link and into no other mount. The
entry is judged again after it is open (trees/entry.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from files.pods.trees.entry import GONE, Rule, chown_entry, chown_open, failed, mount_of_fd
from files.pods.trees.protocol import Verdict

OPEN_PARENT = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # over NFS it asks the server nothing


class ChownWorker:
    """Chowns one entry after the other, and keeps the parent directory of the last one open."""

    def __init__(self, root: int, rule: Rule) -> None:
        self.root, self.rule, self.mount = root, rule, mount_of_fd(root)
        self.parent, self.parent_fd = "", os.dup(root)

    def chown(self, path: str) -> Verdict | None:
        """Chown one entry; return the verdict, or None if it is gone."""
        parent, _, name = path.rpartition("/")
        try:
            if not name:
                return chown_open(self.root, self.rule)
            if parent != self.parent:
                self.open_parent(parent)
            return chown_entry(self.parent_fd, name, self.rule, self.mount)
        except OSError as error:
            return None if error.errno in GONE else failed(error)

    def open_parent(self, parent: str) -> None:
        """Open the parent directory of the next entries."""
        fd = os.dup(self.root)
        for part in parent.split("/") if parent else []:
            try:
                below = os.open(part, OPEN_PARENT, dir_fd=fd)
            finally:
                os.close(fd)
            fd = below
        os.close(self.parent_fd)
        self.parent, self.parent_fd = parent, fd


class ChownWorkers:
    """A pool of workers: over NFS each entry costs a round trip."""

    def __init__(self, root: int, rule: Rule, count: int) -> None:
        self.workers = [ChownWorker(root, rule) for _ in range(count)]
        self.pool = ThreadPoolExecutor(count)

    def close(self) -> None:
        """Stop the workers and close their directories."""
        self.pool.shutdown()
        for worker in self.workers:
            os.close(worker.parent_fd)

    def chown_all(self, names: list[str]) -> Iterator[tuple[Verdict | None, str]]:
        """Chown entries; yield each verdict with its name."""
        size = -(-len(names) // len(self.workers))
        shares = [names[start : start + size] for start in range(0, len(names), size or 1)]
        results = self.pool.map(
            lambda worker, share: [(worker.chown(name), name) for name in share], self.workers, shares
        )
        for share in results:
            yield from share
