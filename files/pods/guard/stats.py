"""What the guard has given and what it was refused, and how it says so: for programs that import it."""

from __future__ import annotations

import errno
import sys
from collections import Counter

from files.pods.common.sd_notify import notify
from files.pods.guard.watched_tree import Tree
from files.pods.trees.entry import GONE


class Tally:
    """Counts verdicts. A file system that became read-only ends the guard: it starts again with the mounts of now."""

    def __init__(self) -> None:
        self.given: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self.left: Counter[str] = Counter()

    def fail(self, tree: Tree, error: OSError) -> None:
        if error.errno not in GONE:  # it is gone already, or another sort of thing by now
            self.count(tree, errno.errorcode.get(error.errno or 0, "E"))

    def count(self, tree: Tree, verdict: str) -> None:
        if verdict == "EROFS":
            sys.exit(f"{tree.path} became read-only here: starting again, with the mounts of now")
        if verdict in ("give", "EPERM", "EINVAL"):
            tree.refused = 0 if verdict == "give" else tree.refused + 1
        if verdict == "give" or verdict.startswith("E"):
            self.given[f"{tree.path}: {'given' if verdict == 'give' else verdict}"] += 1
            self.total["given" if verdict == "give" else verdict] += 1
        elif verdict not in ("", "right"):
            self.left[verdict.partition(" ")[0]] += 1

    def tell(self, how: str, **events: int) -> None:
        """Says what was done, in the journal; and how the guard is, for `systemctl status`."""
        if self.given:
            print("; ".join(f"{what} {number}" for what, number in self.given.items()), flush=True)
            self.given.clear()
        counts = [f"{what} {number}" for what, number in {**self.total, **events}.items() if number]
        left = ", ".join(f"{number} {what}" for what, number in sorted(self.left.items()))
        notify(f"STATUS={'; '.join([how, *counts, *([f'left alone: {left}'] if left else [])])}")
