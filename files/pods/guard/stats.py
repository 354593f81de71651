"""Counters of the guard, and their report to the journal and to systemd."""

from __future__ import annotations

import sys
from collections import Counter

from files.pods.common.sd_notify import notify
from files.pods.guard.watched_tree import WatchedTree
from files.pods.trees.entry import GONE, failed
from files.pods.trees.protocol import CHOWN, RIGHT, Verdict


class Stats:
    """Counts verdicts. A file system that became read-only ends the guard, which restarts with the current mounts."""

    def __init__(self) -> None:
        self.since_report: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.left_alone: Counter[str] = Counter()

    def count_error(self, tree: WatchedTree, error: OSError) -> None:
        """Count an errno, unless the entry is gone."""
        if error.errno not in GONE:  # else it vanished or was replaced
            self.count(tree, failed(error))

    def count(self, tree: WatchedTree, verdict: Verdict) -> None:
        if verdict.error == "EROFS":
            sys.exit(f"{tree.path} became read-only here: restarting to use the current mounts")
        if verdict == CHOWN or verdict.error in ("EPERM", "EINVAL"):
            tree.refusals = 0 if verdict == CHOWN else tree.refusals + 1
        if verdict == CHOWN or verdict.error:
            self.count_event(tree, verdict.error or "chowned")
        elif verdict != RIGHT:
            self.left_alone[verdict.kind] += 1

    def count_event(self, tree: WatchedTree, event: str) -> None:
        """Count what the next report prints."""
        self.since_report[f"{tree.path}: {event}"] += 1
        self.totals[event] += 1

    def report(self, summary: str, **events: int) -> None:
        """Print what changed to the journal, and send the status for `systemctl status`."""
        if self.since_report:
            print("; ".join(f"{name} {number}" for name, number in self.since_report.items()), flush=True)
            self.since_report.clear()
        counts = [f"{name} {number}" for name, number in {**self.totals, **events}.items() if number]
        left_alone = ", ".join(f"{number} {name}" for name, number in sorted(self.left_alone.items()))
        notify(f"STATUS={'; '.join([summary, *counts, *([f'left alone: {left_alone}'] if left_alone else [])])}")
