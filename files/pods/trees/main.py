"""Counts entries of trees with a wrong owner, or chowns them.

find(1) names the mismatches, and nothing else is opened. If find is not enough, a walk reads the tree. A chown of names
from an earlier scan needs no new one: over NFS a scan costs a GETATTR for each entry.

With `apply`, progress lines precede the reply. Fails if a chown failed. A server that is silent for three minutes ends
the run.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress

from files.pods.common.protocol import print_reply, read_request
from files.pods.trees.chown_workers import ChownWorkers
from files.pods.trees.entry import NOBODY, Rule, failed, open_below, open_directory
from files.pods.trees.find_mismatches import IncompleteError, find_mismatches
from files.pods.trees.packed_names import MAX_CHARS, pack_names, unpack_names
from files.pods.trees.protocol import CHOWN, KEPT, RIGHT, Tally, TreeReport, TreeRequest, TreesReply, TreesRequest
from files.pods.trees.tree_counts import STALL_TIMEOUT, EndlessError, TreeCounts
from files.pods.trees.walk import Walk

CHOWN_BATCH = 64
PARALLEL = 4  # finds over NFS: a server has at least 8 threads (nfs.conf(5), threads)
SCAN_TIMEOUT, CHOWN_TIMEOUT = 1500, 3300  # seconds for all trees: agents can add and move entries forever


def mount_types() -> dict[str, str]:
    """Return the file system type of each mount point, from mountinfo: a dead server cannot block that."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        halves = [line.partition(" - ") for line in table]
    return {of_mount.split()[4]: of_file_system.split()[0] for of_mount, _, of_file_system in halves}


def process_tree(tree: TreeRequest, apply: bool, deadline: float, max_chars: int = MAX_CHARS) -> TreeReport:
    """Count one tree, and chown it with `apply`; return names of mismatches up to `max_chars` characters."""
    mounts = mount_types()
    if tree.mount is not None and tree.mount not in mounts:
        return TreeReport(tree.path, "unmounted")
    try:
        parts = [part for part in tree.path[len(tree.within) :].split("/") if part]
        root = open_below(open_directory(tree.within), parts)
    except FileNotFoundError:
        return TreeReport(tree.path, "absent")
    except OSError as error:
        return TreeReport(tree.path, "unreadable", tallies=[Tally(failed(error), 1)])
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
    names = None if apply or counts.names is None else pack_names(counts.names, max_chars)
    if tree.anchor and mounts.get(tree.anchor) == "nfs4" and counts.only_nobody and rule.uid != NOBODY:
        counts.state = "nobody" if os.stat(tree.anchor).st_uid == NOBODY else counts.state
    return TreeReport(tree.path, counts.state, counts.entries, counts.tallies(), seconds, names)


def count_with_find(counts: TreeCounts, path: str, rule: Rule, apply: bool, parallel: int) -> bool:
    """Count a tree with find(1), and chown it with `apply`; return False if find(1) could not read everything."""
    root, pending = counts.root, list[str]()
    workers = ChownWorkers(root, rule, parallel)
    try:
        for entries in find_mismatches(root, rule, parallel, apply):
            signal.alarm(STALL_TIMEOUT)
            counts.only_nobody &= entries.uid == NOBODY or not entries.entries
            if apply and entries.verdict is CHOWN:
                pending.append(entries.name)
            elif entries.entries:
                counts.add(entries.verdict, entries.name, entries.entries)
                if entries.verdict is CHOWN:
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
        counts.add(verdict, walk.path_of(name) if verdict is not RIGHT else "")
        if counts.entries % 256 == 0:
            counts.progress(path) if apply else signal.alarm(STALL_TIMEOUT)
        if apply and counts.forbidden:
            counts.state = "forbidden"
            break
    counts.only_nobody = walk.only_nobody


def failure_messages(report: TreeReport) -> list[str]:
    """Return a message for each kind of failed chown."""
    why = {"EPERM": "the server or the file forbids it", "EINVAL": "ids are not mapped over NFSv4"}
    why |= {"ELOOP": "a link took its place", "ENOTDIR": "a link or a file took its place"}
    why |= {"EXDEV": "another file system is mounted there"}
    why |= {"kept": "the file system reports success and keeps the owner: its mount options decide who owns its files"}
    endless = (
        f"{report.path}: not finished after {report.entries} entries, {report.number(CHOWN)} chowned: "
        "something keeps adding or moving entries. Run again to continue; if this repeats, stop the agents first"
    )
    return [endless] * (report.state == "unfinished") + [
        f"{report.path}: {it.entries} entries, {it.verdict} ({why.get(str(it.verdict), 'see dmesg')}): "
        + ", ".join(it.names or ["the tree itself"])
        for it in report.tallies
        if it.verdict == KEPT or it.verdict.error not in ("", "EACCES")
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
            max_chars -= len(reports[-1].names or "")
        print_reply(TreesReply(reports))
        messages = [text for report in reports for text in failure_messages(report)] if request.apply else []
        print("\n".join(messages), file=sys.stderr, end="\n" if messages else "", flush=True)
        os._exit(1 if messages else 0)
    status = os.waitpid(child, 0)[1]
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # a find that waits for a dead server
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        sys.exit(f"no progress for {STALL_TIMEOUT} s: the NFS server does not answer")
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
