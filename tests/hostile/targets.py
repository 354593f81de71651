"""The attacked programs as argument lists: as they are, with a fault, and a naive one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from files.pods.guard.protocol import GuardRequest, WatchedTreeRequest
from files.pods.trees.protocol import TreeRequest, TreesRequest
from tasks.model.ownership.guard import FLOOD, WATCHED
from tests.hostile.place import AGENT
from tests.programs import Change, entry_argv, replaced, request_argv

IDS: dict[str, Any] = {"uid": AGENT, "gid": AGENT, "uids": [0, 65534], "gids": [0, 65534, AGENT]}
SWEEP = 2  # seconds: often, so that sweeps are attacked too

NAIVE = """
import os, sys
for tree in sys.argv[1:]:
    for above, folders, files in os.walk(tree):
        for name in folders + files:
            path = os.path.join(above, name)
            try:
                found = os.lstat(path)
                if found.st_uid in (0, 65534) and (os.path.isdir(path) or found.st_nlink == 1):
                    os.lchown(path, 1000, 1000)
            except OSError:
                pass
"""
"""What one would write first: it follows no link on purpose, checks before it chowns, and uses paths."""


class Broken(NamedTuple):
    """A fault: a text of the walk, and what replaces it."""

    old: str
    new: str
    moves: tuple[str, ...] = ()
    """The attacker's moves that this fault needs, where it takes luck; any without."""


BROKEN = {
    "follows links to directories": Broken("O_DIRECTORY | os.O_NOFOLLOW", "O_DIRECTORY"),
    "goes into mounts": Broken("elsewhere = mount_of_fd(fd) != self.mount", "elsewhere = False"),
    "gives mounted files": Broken("if mount_of_fd(fd) != mount:", "if False:"),
    "gives files with several names": Broken("links > 1", "links > 9"),
    "gives others' files": Broken("if uid != rule.uid and uid not in rule.uids:", "if False:"),
    "gives set-id files": Broken("mode & (stat.S_ISUID | stat.S_ISGID)", "False"),
    "gives a name and not what was looked at": Broken(
        'os.chown(f"/proc/self/fd/{fd}", *ids_after_chown(info.st_gid, rule))',
        # The pause is a round trip of NFS.
        "__import__('time').sleep(0.001); os.chown(name, *ids_after_chown(info.st_gid, rule), dir_fd=directory)",
        moves=("hammer", "discard"),
    ),
}


PLACE = "def mount_of_fd("
"""A text in a module that all attacked programs import."""
SLOWLY = """
import os, time
def _slowed(call):
    def slow(*words, **named):
        time.sleep({seconds})
        return call(*words, **named)
    return slow
for _name in ("open", "stat", "fstat", "chown", "fchown", "scandir"):
    setattr(os, _name, _slowed(getattr(os, _name)))
"""


def slowly(seconds: float) -> Change:
    """Return a change that makes system calls as slow as over NFS, where each is a round trip: wider gaps to hit."""
    return lambda text: text.replace(PLACE, SLOWLY.format(seconds=seconds) + PLACE, 1) if seconds else text


def broken(fault: Broken) -> Change:
    """Return the change for a fault; `entry_argv` raises ValueError if the old text is missing."""
    return replaced(fault.old, fault.new)


def place(path: Path) -> dict[str, Any]:
    return {"path": str(path), "within": str(path)}


def guard(sessions: Path, groups: Path, change: Change | None = None) -> list[str]:
    places = zip((sessions, groups), WATCHED, strict=True)
    trees = [WatchedTreeRequest(**place(path), **IDS, hosts=hosts, shared=shared) for path, (hosts, shared) in places]
    return request_argv(GuardRequest(SWEEP, FLOOD, trees), change)


SCAN_THEN_CHOWN = """
import json, subprocess, sys
argv, trees = sys.argv[1:-1], json.loads(sys.argv[-1])
looked = subprocess.run([*argv, json.dumps({"apply": False, "trees": trees})], stdout=subprocess.PIPE, check=True)
reports = json.loads(looked.stdout.splitlines()[-1])["trees"]
named = [{**tree, "names": report.get("names")} for tree, report in zip(trees, reports)]
sys.exit(subprocess.run([*argv, json.dumps({"apply": True, "trees": named})]).returncode)
"""
"""Works as the operation does: scan, then chown the entries that the scan named."""


def own_trees(sessions: Path, groups: Path, change: Change | None = None) -> list[list[str]]:
    """Return argument lists for both ways: with the names of a scan, and without."""
    trees = [TreeRequest(**place(path), mount=None, anchor=None, **IDS) for path in (sessions, groups)]
    argv = entry_argv(TreesRequest.entry, change)
    return [
        scan_then_chown(argv, [asdict(tree) for tree in trees]),
        request_argv(TreesRequest(apply=True, trees=trees), change),
    ]


def scan_then_chown(argv: list[str], trees: list[dict[str, object]]) -> list[str]:
    return [argv[0], "-I", "-c", SCAN_THEN_CHOWN, *argv, json.dumps(trees)]


def naive(sessions: Path, groups: Path) -> list[str]:
    return [sys.executable, "-I", "-c", NAIVE, str(sessions), str(groups)]
