"""Counters of the guard, and their report to the journal and to systemd."""

from __future__ import annotations

import errno
import sys
from collections import Counter

from files.pods.common.sd_notify import notify
from files.pods.guard.watched_tree import WatchedTree
from files.pods.trees.entry import GONE


class Stats:
    """Counts verdicts. A file system that became read-only ends the guard, which restarts with the current mounts."""

    def __init__(self) -> None:
        self.since_report: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.left_alone: Counter[str] = Counter()

    def count_error(self, tree: WatchedTree, error: OSError) -> None:
        """Count an errno, unless the entry is gone."""
        if error.errno not in GONE:  # else it vanished or was replaced
            self.count(tree, errno.errorcode.get(error.errno or 0, "E"))

    def count(self, tree: WatchedTree, verdict: str) -> None:
        """Count a verdict."""
        if verdict == "EROFS":
            sys.exit(f"{tree.path} became read-only here: restarting to use the current mounts")
        if verdict in ("give", "EPERM", "EINVAL"):
            tree.refusals = 0 if verdict == "give" else tree.refusals + 1
        if verdict == "give" or verdict.startswith("E"):
            self.since_report[f"{tree.path}: {'chowned' if verdict == 'give' else verdict}"] += 1
            self.totals["chowned" if verdict == "give" else verdict] += 1
        elif verdict not in ("", "right"):
            self.left_alone[verdict.partition(" ")[0]] += 1

    def report(self, summary: str, **events: int) -> None:
        """Print what changed to the journal, and send the status for `systemctl status`."""
        if self.since_report:
            print("; ".join(f"{name} {number}" for name, number in self.since_report.items()), flush=True)
            self.since_report.clear()
        counts = [f"{name} {number}" for name, number in {**self.totals, **events}.items() if number]
        left_alone = ", ".join(f"{number} {name}" for name, number in sorted(self.left_alone.items()))
        notify(f"STATUS={'; '.join([summary, *counts, *([f'left alone: {left_alone}'] if left_alone else [])])}")
