"""Gives what the host makes in its trees to the agent, at once: a service where the host is root.

Argument: {"version", "sweep": seconds, "flood": events a second from what one agent can write, "trees": [{"path",
"within", "uid", "gid", "uids", "gids", "hosts": [patterns], "shared": [patterns]}]}. Inotify tells of what this
machine's processes make, on NFS as well (inotify(7)): the directories that the host writes in are watched, each new
entry is given with all that is in it. A directory is watched before it is read, so that nothing is made unseen in
between. There are two queues: the root and `hosts` below it are written by the host alone and come first; what an
agent can write too (`shared`) is read in small portions, so that one agent's flood holds nobody else up. Sweeps over
the whole trees, at start, after an overflow and every `sweep` seconds, make up for what was missed; they go through
several sessions in turn, and pause for twenty times as long as they took, five minutes at most. Nothing is kept open
between sweeps, so a file system can be unmounted.
"""

from __future__ import annotations

import errno
import json
import os
import select
import stat
import sys
import time
from collections.abc import Iterator

from files.pods.common.sd_notify import notify
from files.pods.guard.inotify import Event, Queue, UnmountedError
from files.pods.guard.rescan_queue import AGAIN, Looks
from files.pods.guard.scheduler import Work, advance
from files.pods.guard.stats import Tally
from files.pods.guard.watched_tree import Tree, matches
from files.pods.trees.entry import GONE, chown_entry, chown_open, mount_of_fd
from files.pods.trees.walk import Walk

MANY, FEW = 1 << 16, 1 << 12  # bytes of a queue that are read at once
AT_ONCE = 200  # entries of a new directory that are given before anything else is looked at
PAUSE, LONGEST = 20, 300  # times as long as a sweep takes until the next one, and seconds at most
GIVE_UP = 20  # refusals in a row: the server forbids it, or ids are not mapped; the next sweep tries again
JOURNALS = ("inbound.db-journal", "outbound.db-journal")  # SQLite's come and go with each write
REST = 0.005  # seconds between two turns of what is apart, which can be without end
MISSING_ROOT = 0.2  # seconds between two looks for a tree that is not there yet


class Guard:
    def __init__(self, trees: list[Tree], sweep_seconds: float, flood: int) -> None:
        self.trees, self.sweep_seconds = trees, sweep_seconds
        self.hosts, self.shared = self.queues = Queue(MANY), Queue(FEW, flood)
        self.tally = Tally()
        self.work = Work()
        self.units: Iterator[tuple[Tree, str]] | None = None
        self.begun = self.ended = self.pause = 0.0
        self.missed, self.missed_by_agents, self.by_agent = True, False, False
        self.swept, self.unfinished = "not yet", 0
        self.looks = Looks()

    def watch(self, tree: Tree, path: str, handle: int) -> None:
        if tree.is_hosts(path):
            failed = self.hosts.watch(tree, path, handle)
        elif matches(path, tree.shared):
            failed = self.shared.watch(tree, path, handle)
        else:
            return
        if failed not in (0, *GONE):
            self.tally.count(tree, f"{errno.errorcode.get(failed, failed)} when watching")

    def cover(self, tree: Tree, path: str, swept: bool = False, again: bool = False) -> Iterator[None]:
        """Gives a directory of a tree with all that is in it, and watches what is to be watched."""

        def entered(handle: int, below: list[str]) -> None:
            here = "/".join([path, *below])
            self.watch(tree, here, handle)
            if (below or not again) and self.is_deaf(tree, here) and os.fstat(handle).st_uid in tree.rule.uids:
                self.missed_by_agents |= not self.looks.unheard((self.trees.index(tree), here), swept)

        try:
            for step in Walk(tree.open(path), tree.rule, True, entered).steps():
                if step:
                    self.tally.count(tree, step[0])
                if tree.refused >= GIVE_UP:
                    break
                yield
        except OSError as error:
            self.tally.fail(tree, error)

    def top(self, tree: Tree, path: str) -> Iterator[tuple[Tree, str]]:
        """Gives what only the host writes in, and yields the directories below it, which are the sessions."""
        try:
            handle = tree.open(path)
        except OSError as error:
            tree.there &= bool(path)
            tree.strange = not path and error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)
            if tree.strange:
                self.tally.count(tree, f"{errno.errorcode[error.errno or 0]} instead of a tree")
            return self.tally.fail(tree, error)
        try:
            tree.there, tree.strange = True, False
            self.watch(tree, path, handle)
            place = mount_of_fd(handle)
            with os.scandir(handle) as entries:
                for entry in entries:
                    below = f"{path}/{entry.name}" if path else entry.name
                    if not entry.is_dir(follow_symlinks=False):
                        self.one(tree, handle, entry.name, place)
                    elif tree.is_hosts(below):
                        yield from self.top(tree, below)
                    elif below != "lost+found":
                        yield tree, below
            self.tally.count(tree, chown_open(handle, tree.rule))
        except OSError as error:
            self.tally.fail(tree, error)
        finally:
            os.close(handle)

    def one(self, tree: Tree, above: int, name: str, place: tuple[int, bytes]) -> None:
        try:
            self.tally.count(tree, chown_entry(above, name, tree.rule, place))
        except OSError as error:
            self.tally.fail(tree, error)

    def receive(self, event: Event) -> bool:
        """Gives what an event tells of; False where it is too large, and a sweep has to do it."""
        _watch, tree, path, name = event
        if name in JOURNALS:
            return True
        try:
            above = tree.open(path)
            try:
                found = os.stat(name, dir_fd=above, follow_symlinks=False)
                self.by_agent = found.st_uid == tree.rule.uid
                if not stat.S_ISDIR(found.st_mode):
                    self.one(tree, above, name, mount_of_fd(above))
                    return True
            finally:
                os.close(above)
        except OSError as error:
            self.tally.fail(tree, error)
            return True
        within = f"{path}/{name}" if path else name
        if tree.is_hosts(path):
            self.looks.made((self.trees.index(tree), within))
        return self.begin(tree, within)

    def is_deaf(self, tree: Tree, path: str) -> bool:
        """Whether nothing is heard of what is made in a directory; one that lies in such a one is looked at with it."""
        return not self.is_watched(tree, path) and self.is_watched(tree, path.rpartition("/")[0])

    def is_watched(self, tree: Tree, path: str) -> bool:
        return any((tree.path, path) in queue.places for queue in self.queues)

    def begin(self, tree: Tree, path: str, again: bool = False) -> bool:
        steps = self.cover(tree, path, again=again)
        if advance(steps, AT_ONCE):
            return True
        self.by_agent = True  # or of nobody knows whom: agents can put much into what the host has made
        return self.work.set_apart((tree.path, path), steps)

    def read(self) -> None:
        """Handles what has happened since, all of what the host alone has made, and some of the rest."""
        self.read_hosts()
        events, lost = self.shared.read()
        for event in events:
            if event.watch not in self.shared.watches:
                continue
            begun, self.by_agent = time.monotonic(), True
            lost |= not self.receive(event)
            if self.by_agent:  # what the host has made may take as long as it takes
                lost |= self.shared.spend(event.watch, time.monotonic() - begun)
            self.read_hosts()
        if lost:
            self.missed_by_agents = True
            self.looks.lost()

    def read_hosts(self) -> None:
        while True:
            events, lost = self.hosts.read()
            self.missed |= not all([self.receive(event) for event in events]) or lost
            if not events:
                return

    def turn(self) -> None:
        """Goes on with the sweep by a turn of one session, and with what is apart."""
        if self.units is not None and self.work.has_room:
            unit = next(self.units, None)
            if unit is None:
                self.units = None
            else:
                tree, path = unit
                self.work.sweep((tree.path, path), self.cover(tree, path, swept=True))
        self.unfinished += self.work.turn()
        if self.begun and self.units is None and not self.work.swept:
            took, self.begun, self.ended = time.monotonic() - self.begun, 0.0, time.monotonic()
            self.pause = min(PAUSE * took, LONGEST)
            self.missed_by_agents |= self.swept == "not yet"  # what one before this has given and not looked at again
            self.swept = f"{time.strftime('%F %T')} in {took:.1f} s"
            self.tell()

    def run(self) -> None:
        poll = select.poll()
        for queue in self.queues:
            poll.register(queue.handle, select.POLLIN)
        while True:
            due = min([self.due(), *self.looks.due])
            pause = 0.0 if self.begun else REST if self.work else max(0.0, due - time.monotonic())
            if not all(tree.there or tree.strange for tree in self.trees):
                pause = min(pause, MISSING_ROOT)
            if poll.poll(pause * 1000):
                self.read()
            for number, path in self.looks.now():
                given = self.tally.total["given"]
                self.missed_by_agents |= not self.begin(self.trees[number], path, again=True)
                if self.tally.total["given"] > given:  # the host is still at it
                    self.looks.again((number, path), AGAIN[-1:])
                self.read()
            if self.work or self.begun:
                self.turn()
            if self.begun:
                continue
            if time.monotonic() >= self.due() or self.new_root():
                self.begun = time.monotonic()
                self.missed = self.missed_by_agents = False
                self.tally.left.clear()
                for tree in self.trees:
                    tree.refused = 0
                self.units = (unit for tree in self.trees for unit in self.top(tree, ""))
            elif self.tally.given and not self.work:
                self.tell()

    def due(self) -> float:
        """When the next sweep begins. Agents can have it come sooner, but not have it never end."""
        if self.missed:
            return 0.0
        return self.ended + (self.pause if self.missed_by_agents else max(self.pause, self.sweep_seconds))

    def tell(self) -> None:
        watched = sum(len(queue.watches) for queue in self.queues)
        overflows = sum(queue.overflows for queue in self.queues)
        counts = {"overflows": overflows, "floods": self.shared.floods, "unfinished": self.unfinished}
        self.tally.tell(f"watching {watched} directories; swept {self.swept}", **counts)

    def new_root(self) -> bool:
        rested = time.monotonic() >= self.ended + self.pause
        return rested and any(not (tree.there or tree.strange) and os.path.isdir(tree.path) for tree in self.trees)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    notify("READY=1\nSTATUS=starting")
    try:
        Guard([Tree(tree) for tree in arguments["trees"]], arguments["sweep"], arguments["flood"]).run()
    except UnmountedError:
        sys.exit("a tree was unmounted")
