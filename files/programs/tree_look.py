"""A look at a tree with find(1), which costs what a bare walk does: for programs that import it.

It names what differs, and changes nothing; whoever changes decides again on what is held open (tree_walk). Links are
not followed, and other file systems are not entered. Memory does not grow with a tree.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from files.programs.tree_walk import Rule, decide

KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "s": stat.S_IFSOCK}
CHUNK = 1 << 16
RIGHT = b"\0"


class UnsureError(Exception):
    """What find says is not all: something could not be read, or another mount lies in the tree."""


def find_words(rule: Rule) -> list[str]:
    """The argv: a NUL for what is right, and mode, number of names, ids, kind and name of anything else."""
    kept = [word for gid in sorted(rule.gids - {rule.gid}) for word in ("!", "-gid", str(gid))]
    right = ["-uid", str(rule.uid), *kept, "-printf", "\\0"]
    lost_and_found = ["-path", "./lost+found", "-uid", "0", "-prune"]
    return [
        "find",
        ".",
        "-ignore_readdir_race",
        "-xdev",
        *lost_and_found,
        "-o",
        *right,
        "-o",
        "-printf",
        "%m %n %U %G %y %P\\0",
    ]


class Seen(NamedTuple):
    """Entries of one kind: those that are right together, others one by one and with a name."""

    verdict: str
    uid: int
    name: str = ""
    entries: int = 1


def differing(root: int, rule: Rule) -> Iterator[Seen]:
    """What is below an open directory, itself included.

    Raises UnsureError at the end where a walk has to say it.
    """
    with tempfile.TemporaryFile() as errors:
        os.fchdir(root)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        find: Any = subprocess.Popen(find_words(rule), stdout=subprocess.PIPE, stderr=errors, env=environment)
        rest = b""
        while chunk := os.read(find.stdout.fileno(), CHUNK):
            *records, rest = (rest + chunk).split(RIGHT)
            different = [record for record in records if record]
            yield Seen("right", rule.uid, entries=len(records) - len(different))
            for record in different:
                yield read(record, rule)
        if find.wait() != 0:
            errors.seek(0)
            raise UnsureError(os.fsdecode(errors.read(2000)))


def read(record: bytes, rule: Rule) -> Seen:
    """An entry that find has printed."""
    mode, links, owner, group, kind, name = record.split(b" ", 5)
    bits, uid, gid = KINDS.get(kind.decode(), stat.S_IFCHR) | int(mode, 8), int(owner), int(group)
    verdict = decide(bits, int(links), uid, gid, rule)
    return Seen(f"foreign {uid}:{gid}" if verdict == "foreign" else verdict, uid, os.fsdecode(name))
