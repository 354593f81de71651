"""Gives what is in trees to its owner: counts what differs, or changes it.

find(1) names what differs, and nothing else is opened; where it cannot tell all, a walk goes through the tree. What a
look has named need not be looked for again: over NFS that costs a GETATTR for each entry of the tree.

Argument: {"apply": bool, "trees": [{"path", "within" (a directory above it, from which on no link is followed and no
other file system entered), "mount" (a mount point that must be there, or null), "anchor" (root of the NFS mount, or
null), "uid", "gid", "uids", "gids" (ids that may be replaced), "sockets" (whether they are given too; not without
it), "names" (with "apply": those that a look has told; not without one)}]}. Answer: {"trees": [one report each]}, in
which "names" are what is to be given, or null where they are too many; with "apply" also progress lines before it.
Fails where an entry could not be given. However long a tree takes, a server that is silent for three minutes ends it.
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

from files.pods.common.sanitize import escape_control
from files.pods.trees.chown_workers import Givers
from files.pods.trees.entry import NOBODY, Rule, open_below, open_directory
from files.pods.trees.find_mismatches import UnsureError, differing
from files.pods.trees.packed_names import LONGEST, MOST, packed, unpacked
from files.pods.trees.walk import Walk

GIVE_UP = 20  # refusals without one success: the server forbids it, the rest would fail as well
SAMPLE = 5
REPORT = 10000  # entries between two lines of progress
BATCHED = 64  # names that are given together
AT_ONCE = 4  # finds over NFS; a server has 8 threads or more (nfs.conf(5), threads)
MOST_KINDS = 20  # of entries in a report: an agent can forge as many owners as it likes
LOOK_SECONDS, GIVE_SECONDS = 1500, 3300  # for all trees: what agents add and move meanwhile can be without end
SLACK = 100_000  # entries more than a file system twice has inodes, before a walk counts as led round in circles
STALL = 180  # seconds without progress: more than the grace period after a restart of the server (nfsd(7))


def mount_types() -> dict[str, str]:
    """Mount points and the types of their file systems, from the table alone: a dead server cannot hang that."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        halves = [line.partition(" - ") for line in table]
    return {before.split()[4]: after.split()[0] for before, _, after in halves}


def look(tree: dict[str, Any], apply: bool, end: float, room: int = LONGEST) -> dict[str, Any]:
    """Counts one tree, and changes it with `apply`; names what differs where there is room for so many characters."""
    report: dict[str, Any] = {"path": tree["path"], "state": "there", "entries": 0, "counts": {}, "samples": {}}
    mounts = mount_types()
    if tree["mount"] is not None and tree["mount"] not in mounts:
        return {**report, "state": "unmounted"}
    try:
        below = [part for part in tree["path"][len(tree["within"]) :].split("/") if part]
        root = open_below(open_directory(tree["within"]), below)
    except FileNotFoundError:
        return {**report, "state": "absent"}
    except OSError as error:
        return {**report, "state": "unreadable", "counts": {errno.errorcode.get(error.errno or 0, "?"): 1}}
    uids, gids = frozenset(tree["uids"]), frozenset(tree["gids"])
    rule = Rule(tree["uid"], tree["gid"], uids, gids, tree.get("sockets", False))
    begun = time.monotonic()
    beneath = any(point.startswith(f"{tree['path']}/") for point in mounts)
    at_once = AT_ONCE if tree["anchor"] else 1
    found = Found(root, end)
    try:
        if apply and tree.get("names") is not None:
            named(found, tree["path"], rule, unpacked(tree["names"]), at_once)
        elif beneath or not counted(found, tree["path"], rule, apply, at_once):
            found = Found(root, end)
            walked(found, tree["path"], rule, apply)
    except EndlessError:
        found.state, found.only_nobody, found.names = "unfinished", False, None
    os.close(root)
    seconds = round(time.monotonic() - begun, 2)
    report.update(state=found.state, entries=found.entries, counts=dict(found.counts), samples=found.samples)
    report["names"] = None if apply or found.names is None else packed(found.names, room)
    report["seconds"] = seconds
    if tree["anchor"] and mounts.get(tree["anchor"]) == "nfs4" and found.only_nobody and rule.uid != NOBODY:
        report["state"] = "nobody" if os.stat(tree["anchor"]).st_uid == NOBODY else report["state"]
    return report


class EndlessError(Exception):
    """A tree that grows or moves as fast as it is walked; or one that is too large for a run."""


class Found:
    """What was counted in a tree."""

    def __init__(self, root: int, end: float) -> None:
        self.root, self.end, self.most = root, end, most_entries(root)
        self.state, self.entries, self.only_nobody, self.reported = "there", 0, True, 0
        self.counts: Counter[str] = Counter()
        self.samples: dict[str, list[str]] = {}
        self.names: list[str] | None = []

    def name(self, name: str) -> None:
        """Keeps a name of what is to be given."""
        if self.names is not None:
            self.names.append(name)
            self.names = self.names if len(self.names) <= MOST else None

    def add(self, verdict: str, where: str, entries: int = 1) -> None:
        """Counts entries. Raises EndlessError once that were too many, or took too long."""
        self.entries += entries
        if verdict.startswith("foreign ") and verdict not in self.counts and len(self.counts) >= MOST_KINDS:
            verdict = "foreign others"
        self.counts[verdict] += entries
        if verdict != "right" and len(self.samples.setdefault(verdict, [])) < SAMPLE:
            self.samples[verdict].append(escape_control(where) or ".")
        if time.monotonic() > self.end:
            raise EndlessError
        if self.entries > self.most:
            self.most = most_entries(self.root)
            if self.entries > self.most:
                raise EndlessError

    def give(self, givers: Givers, names: list[str], path: str) -> None:
        """Gives what is named, but for what is gone."""
        for verdict, name in givers.give(names):
            if verdict:
                self.add(verdict, name)
        self.progress(path)

    def progress(self, path: str) -> None:
        """Shows that work goes on, and has the alarm wait."""
        signal.alarm(STALL)
        if self.entries // REPORT > self.reported:
            self.reported = self.entries // REPORT
            print(f"{path}: {self.entries} looked at, {self.counts['give']} given", flush=True)

    @property
    def forbidden(self) -> bool:
        """Whether the rest would fail as well."""
        return not self.counts["give"] and sum(self.counts[why] for why in ("EPERM", "EINVAL", "kept")) >= GIVE_UP


def most_entries(root: int) -> float:
    """How many entries a walk can meet: an inode has several names at times, and some come while it goes on."""
    info = os.fstatvfs(root)
    return 2 * (info.f_files - info.f_ffree) + SLACK if info.f_files else math.inf


def counted(found: Found, path: str, rule: Rule, apply: bool, at_once: int) -> bool:
    """Counts what find(1) sees, and gives it with `apply`; False where that does not know all."""
    root, names = found.root, list[str]()
    givers = Givers(root, rule, at_once)
    try:
        for seen in differing(root, rule, at_once, apply):
            signal.alarm(STALL)
            found.only_nobody &= seen.uid == NOBODY or not seen.entries
            if apply and seen.verdict == "give":
                names.append(seen.name)
            elif seen.entries:
                found.add(seen.verdict, seen.name, seen.entries)
                if seen.verdict == "give":
                    found.name(seen.name)
            if len(names) >= BATCHED:
                found.give(givers, names, path)
                names.clear()
            if found.forbidden:
                break
        if names and not found.forbidden:
            found.give(givers, names, path)
    except (UnsureError, FileNotFoundError):
        return False
    finally:
        givers.close()
    found.state = "forbidden" if found.forbidden else found.state
    return True


def named(found: Found, path: str, rule: Rule, names: list[str], at_once: int) -> None:
    """Gives what a look has named; what is in a directory before it (tree_look)."""
    givers = Givers(found.root, rule, at_once)
    names = names[::-1]
    found.only_nobody = False
    try:
        for start in range(0, len(names), BATCHED):
            found.give(givers, names[start : start + BATCHED], path)
            if found.forbidden:
                found.state = "forbidden"
                break
    finally:
        givers.close()


def walked(found: Found, path: str, rule: Rule, apply: bool) -> None:
    """Counts what a walk sees, and changes it with `apply`."""
    walk = Walk(os.dup(found.root), rule, apply)
    found.names = None
    for verdict, name in walk:
        found.add(verdict, walk.where(name) if verdict != "right" else "")
        if found.entries % 256 == 0:
            found.progress(path) if apply else signal.alarm(STALL)
        if apply and found.forbidden:
            found.state = "forbidden"
            break
    found.only_nobody = walk.only_nobody


def failures(report: dict[str, Any]) -> list[str]:
    """What could not be given, in words."""
    why = {"EPERM": "the server or the file forbids it", "EINVAL": "ids are not mapped over NFSv4"}
    why |= {"ELOOP": "a link is in its place", "ENOTDIR": "a link or a file is in its place"}
    why |= {"EXDEV": "another file system is mounted there"}
    why |= {"kept": "the file system reports success and keeps the owner: its mount options decide who owns its files"}
    endless = (
        f"{report['path']}: no end of it after {report['entries']} entries: {report['counts'].get('give', 0)} were "
        "given, and something adds or moves others; run again to go on, with the agents stopped if it is so again"
    )
    return [endless] * (report["state"] == "unfinished") + [
        f"{report['path']}: {number} entries, {verdict} ({why.get(verdict, 'see dmesg')}): "
        + ", ".join(report["samples"].get(verdict, ["the tree itself"]))
        for verdict, number in report["counts"].items()
        if verdict == "kept" or (verdict.startswith("E") and verdict != "EACCES")
    ]


def main() -> None:
    arguments = json.loads(sys.argv[1])
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        signal.alarm(STALL)  # ends even a wait for a dead NFS server
        reports, room = [], LONGEST
        end = time.monotonic() + arguments.get("seconds", GIVE_SECONDS if arguments["apply"] else LOOK_SECONDS)
        for tree in arguments["trees"]:
            reports.append(look(tree, arguments["apply"], end, room))
            room -= len(reports[-1].get("names") or "")
        print(json.dumps({"trees": reports}), flush=True)
        failed = [text for report in reports for text in failures(report)] if arguments["apply"] else []
        print("\n".join(failed), file=sys.stderr, end="\n" if failed else "", flush=True)
        os._exit(1 if failed else 0)
    status = os.waitpid(child, 0)[1]
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # a find that waits for a dead server
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        sys.exit(f"no progress for {STALL} s: the NFS server does not answer")
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
