"""Counts entries of trees with a wrong owner, or chowns them.

find(1) names the mismatches, and nothing else is opened. If find is not enough, a walk reads the tree. A chown of names
from an earlier scan needs no new one: over NFS a scan costs a GETATTR for each entry.

Reply: {"trees": [one report each]}. Its "names" are the mismatches, or null if there are too many. With "apply"
progress lines precede it. Fails if a chown failed. A server that is silent for three minutes ends the run.
"""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from files.pods.common.protocol import read_request
from files.pods.common.sanitize import escape_control
from files.pods.trees.chown_workers import ChownWorkers
from files.pods.trees.entry import NOBODY, Rule, open_below, open_directory
from files.pods.trees.find_mismatches import IncompleteError, find_mismatches
from files.pods.trees.packed_names import MAX_CHARS, MAX_NAMES, pack_names, unpack_names
from files.pods.trees.protocol import TreeRequest, TreesRequest
from files.pods.trees.walk import Walk

MAX_REFUSALS = 20  # failures without one success: the server forbids it, and the rest would fail too
MAX_SAMPLES = 5
PROGRESS_EVERY = 10000  # entries between two progress lines
CHOWN_BATCH = 64
PARALLEL = 4  # finds over NFS: a server has at least 8 threads (nfs.conf(5), threads)
MAX_VERDICTS = 20  # per report: an agent can forge any number of owners
SCAN_TIMEOUT, CHOWN_TIMEOUT = 1500, 3300  # seconds for all trees: agents can add and move entries forever
SLACK = 100_000  # entries beyond twice the inodes of the file system: then the walk runs in circles
STALL_TIMEOUT = 180  # seconds without progress: longer than a server's grace period (nfsd(7))


def mount_types() -> dict[str, str]:
    """Return the file system type of each mount point, from mountinfo: a dead server cannot block that."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        halves = [line.partition(" - ") for line in table]
    return {of_mount.split()[4]: of_file_system.split()[0] for of_mount, _, of_file_system in halves}


def process_tree(tree: TreeRequest, apply: bool, deadline: float, max_chars: int = MAX_CHARS) -> dict[str, Any]:
    """Count one tree, and chown it with `apply`; return names of mismatches up to `max_chars` characters."""
    report: dict[str, Any] = {"path": tree.path, "state": "there", "entries": 0, "counts": {}, "samples": {}}
    mounts = mount_types()
    if tree.mount is not None and tree.mount not in mounts:
        return {**report, "state": "unmounted"}
    try:
        parts = [part for part in tree.path[len(tree.within) :].split("/") if part]
        root = open_below(open_directory(tree.within), parts)
    except FileNotFoundError:
        return {**report, "state": "absent"}
    except OSError as error:
        return {**report, "state": "unreadable", "counts": {errno.errorcode.get(error.errno or 0, "?"): 1}}
    uids, gids = frozenset(tree.uids), frozenset(tree.gids)
    rule = Rule(tree.uid, tree.gid, uids, gids, tree.sockets)
    start = time.monotonic()
    has_mounts_below = any(point.startswith(f"{tree.path}/") for point in mounts)
    parallel = PARALLEL if tree.anchor else 1
    counts = TreeCounts(root, deadline)
    try:
        if apply and tree.names is not None:
            chown_named(counts, tree.path, rule, unpack_names(tree.names), parallel)
        elif has_mounts_below or not count_with_find(counts, tree.path, rule, apply, parallel):
            counts = TreeCounts(root, deadline)
            count_with_walk(counts, tree.path, rule, apply)
    except EndlessError:
        counts.state, counts.only_nobody, counts.names = "unfinished", False, None
    os.close(root)
    seconds = round(time.monotonic() - start, 2)
    report.update(state=counts.state, entries=counts.entries, counts=dict(counts.counts), samples=counts.samples)
    report["names"] = None if apply or counts.names is None else pack_names(counts.names, max_chars)
    report["seconds"] = seconds
    if tree.anchor and mounts.get(tree.anchor) == "nfs4" and counts.only_nobody and rule.uid != NOBODY:
        report["state"] = "nobody" if os.stat(tree.anchor).st_uid == NOBODY else report["state"]
    return report


class EndlessError(Exception):
    """A tree that grows or moves as fast as it is walked, or that is too large for one run."""


class TreeCounts:
    """Counts, samples and names of one tree."""

    def __init__(self, root: int, deadline: float) -> None:
        self.root, self.deadline, self.max_entries = root, deadline, max_entries(root)
        self.state, self.entries, self.only_nobody, self.reported = "there", 0, True, 0
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[str]] = {}
        self.names: list[str] | None = []

    def keep_name(self, name: str) -> None:
        """Keep the name of a mismatch, unless there are too many."""
        if self.names is not None:
            self.names.append(name)
            self.names = self.names if len(self.names) <= MAX_NAMES else None

    def add(self, verdict: str, where: str, entries: int = 1) -> None:
        """Count entries. Raises EndlessError beyond the deadline or the maximum."""
        self.entries += entries
        if verdict.startswith("foreign ") and verdict not in self.counts and len(self.counts) >= MAX_VERDICTS:
            verdict = "foreign others"
        self.counts[verdict] += entries
        if verdict != "right" and len(self.samples.setdefault(verdict, [])) < MAX_SAMPLES:
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
            print(f"{path}: {self.entries} entries checked, {self.counts['give']} chowned", flush=True)

    @property
    def forbidden(self) -> bool:
        """Whether every further chown would fail too."""
        return not self.counts["give"] and sum(self.counts[why] for why in ("EPERM", "EINVAL", "kept")) >= MAX_REFUSALS


def max_entries(root: int) -> float:
    """Return how many entries a walk can meet: some inodes have several names, and some are created meanwhile."""
    info = os.fstatvfs(root)
    return 2 * (info.f_files - info.f_ffree) + SLACK if info.f_files else math.inf


def count_with_find(counts: TreeCounts, path: str, rule: Rule, apply: bool, parallel: int) -> bool:
    """Count a tree with find(1), and chown it with `apply`; return False if find(1) could not read everything."""
    root, pending = counts.root, list[str]()
    workers = ChownWorkers(root, rule, parallel)
    try:
        for entries in find_mismatches(root, rule, parallel, apply):
            signal.alarm(STALL_TIMEOUT)
            counts.only_nobody &= entries.uid == NOBODY or not entries.entries
            if apply and entries.verdict == "give":
                pending.append(entries.name)
            elif entries.entries:
                counts.add(entries.verdict, entries.name, entries.entries)
                if entries.verdict == "give":
                    counts.keep_name(entries.name)
            if len(pending) >= CHOWN_BATCH:
                counts.chown(workers, pending, path)
                pending.clear()
            if counts.forbidden:
                break
        if pending and not counts.forbidden:
            counts.chown(workers, pending, path)
    except (IncompleteError, FileNotFoundError):
        return False
    finally:
        workers.close()
    counts.state = "forbidden" if counts.forbidden else counts.state
    return True


def chown_named(counts: TreeCounts, path: str, rule: Rule, names: list[str], parallel: int) -> None:
    """Chown the names of an earlier scan, the content of a directory before the directory."""
    workers = ChownWorkers(counts.root, rule, parallel)
    names = names[::-1]
    counts.only_nobody = False
    try:
        for start in range(0, len(names), CHOWN_BATCH):
            counts.chown(workers, names[start : start + CHOWN_BATCH], path)
            if counts.forbidden:
                counts.state = "forbidden"
                break
    finally:
        workers.close()


def count_with_walk(counts: TreeCounts, path: str, rule: Rule, apply: bool) -> None:
    """Count a tree by walking it, and chown it with `apply`."""
    walk = Walk(os.dup(counts.root), rule, apply)
    counts.names = None
    for verdict, name in walk:
        counts.add(verdict, walk.path_of(name) if verdict != "right" else "")
        if counts.entries % 256 == 0:
            counts.progress(path) if apply else signal.alarm(STALL_TIMEOUT)
        if apply and counts.forbidden:
            counts.state = "forbidden"
            break
    counts.only_nobody = walk.only_nobody


def failure_messages(report: dict[str, Any]) -> list[str]:
    """Return a message for each kind of failed chown."""
    why = {"EPERM": "the server or the file forbids it", "EINVAL": "ids are not mapped over NFSv4"}
    why |= {"ELOOP": "a link took its place", "ENOTDIR": "a link or a file took its place"}
    why |= {"EXDEV": "another file system is mounted there"}
    why |= {"kept": "the file system reports success and keeps the owner: its mount options decide who owns its files"}
    endless = (
        f"{report['path']}: not finished after {report['entries']} entries, {report['counts'].get('give', 0)} chowned: "
        "something keeps adding or moving entries. Run again to continue; if this repeats, stop the agents first"
    )
    return [endless] * (report["state"] == "unfinished") + [
        f"{report['path']}: {number} entries, {verdict} ({why.get(verdict, 'see dmesg')}): "
        + ", ".join(report["samples"].get(verdict, ["the tree itself"]))
        for verdict, number in report["counts"].items()
        if verdict == "kept" or (verdict.startswith("E") and verdict != "EACCES")
    ]


def main() -> None:
    """Process all trees in a child that ends when a server is silent."""
    request = read_request(TreesRequest)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.alarm(STALL_TIMEOUT)  # ends even a wait for a dead NFS server
        reports, max_chars = [], MAX_CHARS
        seconds = CHOWN_TIMEOUT if request.apply else SCAN_TIMEOUT
        deadline = time.monotonic() + (seconds if request.seconds is None else request.seconds)
        for tree in request.trees:
            reports.append(process_tree(tree, request.apply, deadline, max_chars))
            max_chars -= len(reports[-1].get("names") or "")
        print(json.dumps({"trees": reports}), flush=True)
        failed = [text for report in reports for text in failure_messages(report)] if request.apply else []
        print("\n".join(failed), file=sys.stderr, end="\n" if failed else "", flush=True)
        os._exit(1 if failed else 0)
    status = os.waitpid(child, 0)[1]
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # a find that waits for a dead server
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        sys.exit(f"no progress for {STALL_TIMEOUT} s: the NFS server does not answer")
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
