"""Chowns what the host creates in its trees to the agent at once: a service for hosts that run as root.

Inotify reports what this machine's processes create, on NFS as well (inotify(7)). Directories that the host writes to
are watched, and each new entry is chowned with its content. A directory is watched before it is read, so no entry is
missed in between. There are two queues. The root and the directories of `hosts` are written by the host alone, and come
first. Directories that agents write to as well (`shared`) are read in small portions, so that one agent's flood delays
nobody else. Sweeps over whole trees find what events missed: at start, after lost events, and every `sweep` seconds. A
sweep handles several sessions in turn. The next one waits twenty times as long as it took, at most five minutes.
Between sweeps no file stays open, so a file system can be unmounted.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Iterator

from files.pods.common.protocol import read_request
from files.pods.common.sd_notify import notify
from files.pods.guard.inotify import Event, InotifyQueue, UnmountedError
from files.pods.guard.protocol import GuardRequest
from files.pods.guard.rescan_queue import RESCAN_DELAYS
from files.pods.guard.scheduler import RoundRobin, advance
from files.pods.guard.tree_watcher import TreeWatcher
from files.pods.guard.watched_tree import WatchedTree
from files.pods.trees.entry import mount_of_fd

HOST_READ_BYTES, SHARED_READ_BYTES = 1 << 16, 1 << 12  # of events per read
EAGER_ENTRIES = 200  # of a new directory that are chowned before other events
PAUSE_FACTOR, MAX_PAUSE = 20, 300  # times the duration of a sweep until the next one; at most so many seconds
JOURNALS = ("inbound.db-journal", "outbound.db-journal")  # SQLite creates and removes them with each write
BACKGROUND_PAUSE = 0.005  # seconds between two turns in the background, which may never end
ROOT_POLL_SECONDS = 0.2  # between two checks for a missing tree


class Guard(TreeWatcher):
    """The event loop: two inotify queues, rescans, and sweeps."""

    def __init__(self, trees: list[WatchedTree], sweep_seconds: float, flood: int) -> None:
        super().__init__(trees, InotifyQueue(HOST_READ_BYTES), InotifyQueue(SHARED_READ_BYTES, flood))
        self.sweep_seconds = sweep_seconds
        self.scheduler = RoundRobin()
        self.sessions: Iterator[tuple[WatchedTree, str]] | None = None
        self.sweep_start = self.sweep_end = self.sweep_pause = 0.0
        self.host_events_lost, self.is_agents = True, False
        self.last_sweep, self.dropped = "not yet", 0

    def handle_event(self, event: Event) -> bool:
        """Chown a new entry; return False if it is too large and needs a sweep."""
        _watch, tree, path, name = event
        if name in JOURNALS:
            return True
        try:
            directory = tree.open(path)
            try:
                info = os.stat(name, dir_fd=directory, follow_symlinks=False)
                self.is_agents = info.st_uid == tree.rule.uid
                if not stat.S_ISDIR(info.st_mode):
                    self.chown_one(tree, directory, name, mount_of_fd(directory))
                    return True
            finally:
                os.close(directory)
        except OSError as error:
            self.stats.count_error(tree, error)
            return True
        created = f"{path}/{name}" if path else name
        if tree.is_host_only(path):
            self.rescans.on_created((self.trees.index(tree), created))
        return self.start_tree(tree, created)

    def start_tree(self, tree: WatchedTree, path: str, is_rescan: bool = False) -> bool:
        """Chown a directory, in the background if it is large; return False if there is no room."""
        steps = self.chown_tree(tree, path, is_rescan=is_rescan)
        if advance(steps, EAGER_ENTRIES):
            return True
        self.is_agents = True  # or unknown: agents can put much into a directory of the host
        return self.scheduler.add_background((tree.path, path), steps)

    def handle_events(self) -> None:
        """Handle new events: all of the host's directories, and a portion of the shared ones."""
        self.handle_host_events()
        events, overflowed = self.shared_queue.read()
        for event in events:
            if event.watch not in self.shared_queue.watches:
                continue
            start, self.is_agents = time.monotonic(), True
            overflowed |= not self.handle_event(event)
            if self.is_agents:  # entries of the host may take any time
                overflowed |= self.shared_queue.add_time(event.watch, time.monotonic() - start)
            self.handle_host_events()
        if overflowed:
            self.agent_events_lost = True
            self.rescans.on_overflow()

    def handle_host_events(self) -> None:
        """Handle all events of directories that only the host writes to."""
        while True:
            events, overflowed = self.host_queue.read()
            self.host_events_lost |= not all([self.handle_event(event) for event in events]) or overflowed
            if not events:
                return

    def run_turn(self) -> None:
        """Run one turn of the sweep and of the background."""
        if self.sessions is not None and self.scheduler.accepts_sessions:
            session = next(self.sessions, None)
            if session is None:
                self.sessions = None
            else:
                tree, path = session
                self.scheduler.add_session((tree.path, path), self.chown_tree(tree, path, from_sweep=True))
        self.dropped += self.scheduler.run_turn()
        if self.sweep_start and self.sessions is None and not self.scheduler.sessions:
            seconds, self.sweep_start, self.sweep_end = time.monotonic() - self.sweep_start, 0.0, time.monotonic()
            self.sweep_pause = min(PAUSE_FACTOR * seconds, MAX_PAUSE)
            self.agent_events_lost |= self.last_sweep == "not yet"  # an earlier guard may have left rescans undone
            self.last_sweep = f"{time.strftime('%F %T')} in {seconds:.1f} s"
            self.report()

    def run(self) -> None:
        """Run until a tree is unmounted."""
        poll = select.poll()
        for queue in self.queues:
            poll.register(queue.fd, select.POLLIN)
        while True:
            until_due = max(0.0, min([self.next_sweep(), *self.rescans.next_due]) - time.monotonic())
            pause = 0.0 if self.sweep_start else BACKGROUND_PAUSE if self.scheduler else until_due
            if not all(tree.exists or tree.is_not_directory for tree in self.trees):
                pause = min(pause, ROOT_POLL_SECONDS)
            if poll.poll(pause * 1000):
                self.handle_events()
            for number, path in self.rescans.pop_due():
                chowned = self.stats.totals["chowned"]
                self.agent_events_lost |= not self.start_tree(self.trees[number], path, is_rescan=True)
                if self.stats.totals["chowned"] > chowned:  # the host is still writing
                    self.rescans.schedule((number, path), RESCAN_DELAYS[-1:])
                self.handle_events()
            if self.scheduler or self.sweep_start:
                self.run_turn()
            if self.sweep_start:
                continue
            if time.monotonic() >= self.next_sweep() or self.root_appeared():
                self.sweep_start = time.monotonic()
                self.host_events_lost = self.agent_events_lost = False
                self.stats.left_alone.clear()
                for tree in self.trees:
                    tree.refusals = 0
                self.sessions = (session for tree in self.trees for session in self.chown_top_level(tree, ""))
            elif self.stats.since_report and not self.scheduler:
                self.report()

    def next_sweep(self) -> float:
        """Return the time of the next sweep. Agents can make it earlier, but not make it endless."""
        if self.host_events_lost:
            return 0.0
        return self.sweep_end + (
            self.sweep_pause if self.agent_events_lost else max(self.sweep_pause, self.sweep_seconds)
        )

    def report(self) -> None:
        """Report counters and status."""
        watched = sum(len(queue.watches) for queue in self.queues)
        overflows = sum(queue.overflows for queue in self.queues)
        counts = {"overflows": overflows, "floods": self.shared_queue.floods, "unfinished": self.dropped}
        self.stats.report(f"watching {watched} directories; swept {self.last_sweep}", **counts)

    def root_appeared(self) -> bool:
        """Return whether a missing tree exists now."""
        rested = time.monotonic() >= self.sweep_end + self.sweep_pause
        return rested and any(
            not (tree.exists or tree.is_not_directory) and os.path.isdir(tree.path) for tree in self.trees
        )


if __name__ == "__main__":
    request = read_request(GuardRequest)
    notify("READY=1\nSTATUS=starting")
    try:
        Guard([WatchedTree(tree) for tree in request.trees], request.sweep, request.flood).run()
    except UnmountedError:
        sys.exit("a tree was unmounted")
