"""A scan of a tree with find(1), for the price of a bare walk.

It names entries with a wrong owner and changes nothing: a chown judges each entry again. Links are not followed, and
other file systems are not entered. Memory does not grow with the tree. Over NFS several finds run in parallel.
"""

from __future__ import annotations

import os
import selectors
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any, NamedTuple

from files.pods.trees.entry import Rule, decide
from files.pods.trees.protocol import RIGHT, Verdict

TYPES = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "s": stat.S_IFSOCK}
CHUNK = 1 << 16
DIRECTORIES_PER_FIND = 100
RIGHT_RECORD = " " * 15  # long, with its NUL: find writes in blocks, and a block should hold only some hundred entries
VANISHED = b"No such file or directory"


class IncompleteError(Exception):
    """find(1) could not read everything."""


class Entries(NamedTuple):
    """Entries with the same verdict: correct ones as a count, each other one with its name."""

    verdict: Verdict
    uid: int
    name: str = ""
    entries: int = 1


def find_argv(rule: Rule, paths: list[str], *depth: str) -> list[str]:
    """Return an argv that prints RIGHT_RECORD for a correct entry; mode, links, ids, type and path of others."""
    replaceable = [arg for gid in sorted(rule.gids - {rule.gid}) for arg in ("!", "-gid", str(gid))]
    right = ["-uid", str(rule.uid), *replaceable, "-printf", f"{RIGHT_RECORD}\\0"]
    recovered = ["-path", "./lost+found", "-uid", "0", "-prune"]
    options = ["-ignore_readdir_race", *depth, "-xdev"]
    return ["find", *paths, *options, *recovered, "-o", *right, "-o", "-printf", "%m %n %U %G %y %p\\0"]


def find_mismatches(root: int, rule: Rule, parallel: int, apply: bool = False) -> Iterator[Entries]:
    """Scan what is below an open directory, itself included, and change the working directory to it.

    With `apply`, the content of a session's directory precedes the directory. Once a directory has changed, an NFS
    client looks up each name in it again (nfs(5), Directory entry caching).
    Raises IncompleteError at the end if only a walk can tell.
    """
    os.fchdir(root)
    if parallel == 1:
        return run_finds(iter([find_argv(rule, ["."])]), rule, 1)
    paths = session_directories()
    batches = iter(lambda: list(islice(paths, DIRECTORIES_PER_FIND)), [])
    order = ["-depth"] if apply else []
    parts = (find_argv(rule, batch, "-mindepth", "1", *order) for batch in batches)
    return run_finds(chain([find_argv(rule, ["."], "-maxdepth", "2")], parts), rule, parallel)


def session_directories() -> Iterator[str]:
    """Yield the directories two levels below the working directory: the sessions."""
    for group in subdirectories("."):
        if group != "./lost+found":
            yield from subdirectories(group)


def subdirectories(path: str) -> Iterator[str]:
    """Yield the directories in a directory."""
    with suppress(OSError), os.scandir(path) as entries:  # find reports what is gone or unreadable
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield f"{path}/{entry.name}"


class FindProcess:
    """One running find(1)."""

    def __init__(self, argv: list[str]) -> None:
        self.errors = os.memfd_create("errors")
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        self.process: Any = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, env=environment
        )
        self.rest = b""

    def parse(self, chunk: bytes, rule: Rule) -> Iterator[Entries]:
        """Yield the entries of a chunk of output."""
        *records, self.rest = (self.rest + chunk).split(b"\0")
        different = [record for record in records if not record.isspace()]
        yield Entries(RIGHT, rule.uid, entries=len(records) - len(different))
        for record in different:
            yield parse_record(record, rule)

    def finish(self) -> None:
        """Wait for find(1). Raises IncompleteError for any error but vanished entries."""
        self.process.stdout.close()
        status = self.process.wait()
        errors = os.pread(self.errors, CHUNK, 0).splitlines()
        os.close(self.errors)
        if status != 0 and not (errors and all(line.endswith(VANISHED) for line in errors)):
            raise IncompleteError(os.fsdecode(b"; ".join(errors[:3])))


def run_finds(commands: Iterator[list[str]], rule: Rule, parallel: int) -> Iterator[Entries]:
    """Run commands, `parallel` at a time, and yield what they print."""
    with selectors.DefaultSelector() as running:

        def start() -> None:
            for argv in islice(commands, 1):
                find = FindProcess(argv)
                running.register(find.process.stdout, selectors.EVENT_READ, find)

        for _ in range(parallel):
            start()
        while running.get_map():
            for key, _events in running.select():
                if chunk := os.read(key.fd, CHUNK):
                    yield from key.data.parse(chunk, rule)
                else:
                    running.unregister(key.fileobj)
                    key.data.finish()
                    start()


def parse_record(record: bytes, rule: Rule) -> Entries:
    """Parse one record of find(1)."""
    mode, links, owner, group, kind, path = record.split(b" ", 5)
    bits, uid, gid = TYPES.get(kind.decode(), stat.S_IFCHR) | int(mode, 8), int(owner), int(group)
    return Entries(decide(bits, int(links), uid, gid, rule), uid, os.fsdecode(path[2:]))
