"""A look at a tree with find(1), which costs what a bare walk does: for programs that import it.

It names what differs, and changes nothing; whoever changes decides again on what is held open (tree_walk). Links are
not followed, and other file systems are not entered. Memory does not grow with a tree. Where a server answers after
some time, several at once do not wait for each other.
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

KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "s": stat.S_IFSOCK}
CHUNK = 1 << 16
BATCH = 100  # directories that one find is given
RIGHT = " " * 15  # with its NUL: find writes in blocks, and a block is to be no more than some hundred entries
VANISHED = b"No such file or directory"


class UnsureError(Exception):
    """What find says is not all: something could not be read."""


class Seen(NamedTuple):
    """Entries of one kind: those that are right together, others one by one and with a name."""

    verdict: str
    uid: int
    name: str = ""
    entries: int = 1


def find_words(rule: Rule, places: list[str], *depth: str) -> list[str]:
    """The argv: RIGHT for what is right, and mode, number of names, ids, kind and name of anything else."""
    kept = [word for gid in sorted(rule.gids - {rule.gid}) for word in ("!", "-gid", str(gid))]
    right = ["-uid", str(rule.uid), *kept, "-printf", f"{RIGHT}\\0"]
    lost_and_found = ["-path", "./lost+found", "-uid", "0", "-prune"]
    options = ["-ignore_readdir_race", *depth, "-xdev"]
    return ["find", *places, *options, *lost_and_found, "-o", *right, "-o", "-printf", "%m %n %U %G %y %p\\0"]


def differing(root: int, rule: Rule, at_once: int, apply: bool = False) -> Iterator[Seen]:
    """What is below an open directory, itself included; from so many finds at once. Changes the working directory.

    With `apply`, for who gives what is named, what is in a directory of a session comes before it: once a directory has
    changed, an NFS client asks again for each name in it (nfs(5), Directory entry caching).
    Raises UnsureError at the end where a walk has to say it.
    """
    os.fchdir(root)
    if at_once == 1:
        return found(iter([find_words(rule, ["."])]), rule, 1)
    places = below_below()
    batches = iter(lambda: list(islice(places, BATCH)), [])
    order = ["-depth"] if apply else []
    parts = (find_words(rule, batch, "-mindepth", "1", *order) for batch in batches)
    return found(chain([find_words(rule, ["."], "-maxdepth", "2")], parts), rule, at_once)


def below_below() -> Iterator[str]:
    """The directories two levels below the working directory: of the sessions' tree the sessions."""
    for above in directories("."):
        if above != "./lost+found":
            yield from directories(above)


def directories(path: str) -> Iterator[str]:
    with suppress(OSError), os.scandir(path) as entries:  # what is gone or may not be read is told of by find
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield f"{path}/{entry.name}"


class Find:
    """One find that runs."""

    def __init__(self, words: list[str]) -> None:
        self.errors = os.memfd_create("errors")
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        self.process: Any = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.errors, env=environment)
        self.rest = b""

    def seen(self, chunk: bytes, rule: Rule) -> Iterator[Seen]:
        *records, self.rest = (self.rest + chunk).split(b"\0")
        different = [record for record in records if not record.isspace()]
        yield Seen("right", rule.uid, entries=len(records) - len(different))
        for record in different:
            yield read(record, rule)

    def end(self) -> None:
        self.process.stdout.close()
        status = self.process.wait()
        said = os.pread(self.errors, CHUNK, 0).splitlines()
        os.close(self.errors)
        if status != 0 and not (said and all(line.endswith(VANISHED) for line in said)):
            raise UnsureError(os.fsdecode(b"; ".join(said[:3])))


def found(commands: Iterator[list[str]], rule: Rule, at_once: int) -> Iterator[Seen]:
    with selectors.DefaultSelector() as running:

        def start() -> None:
            for words in islice(commands, 1):
                find = Find(words)
                running.register(find.process.stdout, selectors.EVENT_READ, find)

        for _ in range(at_once):
            start()
        while running.get_map():
            for key, _events in running.select():
                if chunk := os.read(key.fd, CHUNK):
                    yield from key.data.seen(chunk, rule)
                else:
                    running.unregister(key.fileobj)
                    key.data.end()
                    start()


def read(record: bytes, rule: Rule) -> Seen:
    """An entry that find has printed."""
    mode, links, owner, group, kind, path = record.split(b" ", 5)
    bits, uid, gid = KINDS.get(kind.decode(), stat.S_IFCHR) | int(mode, 8), int(owner), int(group)
    verdict = decide(bits, int(links), uid, gid, rule)
    return Seen(f"foreign {uid}:{gid}" if verdict == "foreign" else verdict, uid, os.fsdecode(path[2:]))
