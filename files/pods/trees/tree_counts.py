"""Counts of one tree by verdict, and the limits of a scan or a chown."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from typing import Literal

from files.pods.common.sanitize import escape_control
from files.pods.trees.chown_workers import ChownWorkers
from files.pods.trees.packed_names import MAX_NAMES
from files.pods.trees.protocol import CHOWN, FOREIGN_OTHERS, KEPT, RIGHT, Tally, Verdict

REFUSALS = (Verdict("failed", error="EPERM"), Verdict("failed", error="EINVAL"), KEPT)
MAX_REFUSALS = 20  # failures without one success: the server forbids it, and the rest would fail too
MAX_SAMPLES = 5
PROGRESS_EVERY = 10000  # entries between two progress lines
MAX_VERDICTS = 20  # per report: an agent can forge any number of owners
SLACK = 100_000  # entries beyond twice the inodes of the file system: then the walk runs in circles
STALL_TIMEOUT = 180  # seconds without progress: longer than a server's grace period (nfsd(7))


class EndlessError(Exception):
    """A tree that grows or moves as fast as it is walked, or that is too large for one run."""


class TreeCounts:
    """Counts, samples and names of one tree."""

    def __init__(self, root: int, deadline: float) -> None:
        self.root, self.deadline, self.max_entries = root, deadline, max_entries(root)
        self.state: Literal["there", "nobody", "forbidden", "unfinished"] = "there"
        self.entries, self.only_nobody, self.reported = 0, True, 0
        self.counts: Counter[Verdict] = Counter()
        self.samples: dict[Verdict, list[str]] = {}
        self.names: list[str] | None = []

    def tallies(self) -> list[Tally]:
        """Return the counts of a report."""
        return [Tally(verdict, number, self.samples.get(verdict, [])) for verdict, number in self.counts.items()]

    def keep_name(self, name: str) -> None:
        """Keep the name of a mismatch, unless there are too many."""
        if self.names is not None:
            self.names.append(name)
            self.names = self.names if len(self.names) <= MAX_NAMES else None

    def add(self, verdict: Verdict, where: str, entries: int = 1) -> None:
        """Count entries. Raises EndlessError beyond the deadline or the maximum."""
        self.entries += entries
        if verdict.kind == "foreign" and verdict not in self.counts and len(self.counts) >= MAX_VERDICTS:
            verdict = FOREIGN_OTHERS
        self.counts[verdict] += entries
        if verdict is not RIGHT and len(self.samples.setdefault(verdict, [])) < MAX_SAMPLES:
            self.samples[verdict].append(escape_control(where) or ".")
        if time.monotonic() > self.deadline:
            raise EndlessError
        if self.entries > self.max_entries:
            self.max_entries = max_entries(self.root)
            if self.entries > self.max_entries:
                raise EndlessError

    def chown(self, workers: ChownWorkers, names: list[str], path: str) -> None:
        """Chown named entries; entries that are gone do not count."""
        for verdict, name in workers.chown_all(names):
            if verdict:
                self.add(verdict, name)
        self.progress(path)

    def progress(self, path: str) -> None:
        """Restart the stall timeout, and print progress now and then."""
        signal.alarm(STALL_TIMEOUT)
        if self.entries // PROGRESS_EVERY > self.reported:
            self.reported = self.entries // PROGRESS_EVERY
            print(f"{path}: {self.entries} entries checked, {self.counts[CHOWN]} chowned", flush=True)

    @property
    def forbidden(self) -> bool:
        """Whether every further chown would fail too."""
        return not self.counts[CHOWN] and sum(self.counts[refusal] for refusal in REFUSALS) >= MAX_REFUSALS


def max_entries(root: int) -> float:
    """Return how many entries a walk can meet: some inodes have several names, and some are created meanwhile."""
    info = os.fstatvfs(root)
    return 2 * (info.f_files - info.f_ffree) + SLACK if info.f_files else math.inf
