"""Gives entries of a tree that are named, several at once: for programs that import it.

A name is followed from the tree's open root, directory by directory, through no link and into no other mount; what is
then held open is decided on anew (tree_entry).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from files.pods.trees.entry import GONE, Rule, give, give_open, place_of

ABOVE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # over NFS it asks the server nothing


class Giver:
    """Gives one entry after the other; the directory of the last one is kept open."""

    def __init__(self, root: int, rule: Rule) -> None:
        self.root, self.rule, self.place = root, rule, place_of(root)
        self.above, self.handle = "", os.dup(root)

    def give(self, path: str) -> str:
        """The verdict on an entry; none where it is gone."""
        above, _, name = path.rpartition("/")
        try:
            if not name:
                return give_open(self.root, self.rule)
            if above != self.above:
                self.go_to(above)
            return give(self.handle, name, self.rule, self.place)
        except OSError as error:
            return "" if error.errno in GONE else errno.errorcode.get(error.errno or 0, str(error.errno))

    def go_to(self, above: str) -> None:
        handle = os.dup(self.root)
        for part in above.split("/") if above else []:
            try:
                below = os.open(part, ABOVE, dir_fd=handle)
            finally:
                os.close(handle)
            handle = below
        os.close(self.handle)
        self.above, self.handle = above, handle


class Givers:
    """Several at once: a server takes its time for each entry."""

    def __init__(self, root: int, rule: Rule, at_once: int) -> None:
        self.givers = [Giver(root, rule) for _ in range(at_once)]
        self.pool = ThreadPoolExecutor(at_once)

    def close(self) -> None:
        self.pool.shutdown()
        for giver in self.givers:
            os.close(giver.handle)

    def give(self, names: list[str]) -> Iterator[tuple[str, str]]:
        """Each verdict with its name."""
        size = -(-len(names) // len(self.givers))
        shares = [names[start : start + size] for start in range(0, len(names), size or 1)]
        done = self.pool.map(lambda giver, share: [(giver.give(name), name) for name in share], self.givers, shares)
        for share in done:
            yield from share
