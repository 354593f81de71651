"""Chown of directories that are watched at the same time: a directory gets its watch before it is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from files.pods.guard.inotify import InotifyQueue
from files.pods.guard.rescan_queue import RescanQueue
from files.pods.guard.stats import Stats
from files.pods.guard.watched_tree import WatchedTree, matches
from files.pods.trees.entry import GONE, chown_entry, chown_open, mount_of_fd
from files.pods.trees.walk import Walk

MAX_REFUSALS = 20  # failures in a row: the server forbids it, or ids are not mapped; the next sweep tries again


class TreeWatcher:
    """Watches and chowns directories of trees: the host's in one queue, those that agents share in another."""

    def __init__(self, trees: list[WatchedTree], host_queue: InotifyQueue, shared_queue: InotifyQueue) -> None:
        self.trees = trees
        self.host_queue, self.shared_queue = self.queues = (host_queue, shared_queue)
        self.stats = Stats()
        self.rescans = RescanQueue()
        self.agent_events_lost = False

    def watch(self, tree: WatchedTree, path: str, fd: int) -> None:
        """Watch a directory if the host writes to it."""
        if tree.is_host_only(path):
            error = self.host_queue.watch(tree, path, fd)
        elif matches(path, tree.shared_patterns):
            error = self.shared_queue.watch(tree, path, fd)
        else:
            return
        if error not in (0, *GONE):
            self.stats.count_event(tree, f"{errno.errorcode.get(error, error)} when watching")

    def chown_tree(
        self, tree: WatchedTree, path: str, from_sweep: bool = False, is_rescan: bool = False
    ) -> Iterator[None]:
        """Chown a directory with its content, and watch its directories."""

        def on_directory(fd: int, below: list[str]) -> None:
            directory = "/".join([path, *below])
            self.watch(tree, directory, fd)
            is_new = (below or not is_rescan) and self.is_topmost_unwatched(tree, directory)
            if is_new and os.fstat(fd).st_uid in tree.rule.uids:
                self.agent_events_lost |= not self.rescans.on_unwatched((self.trees.index(tree), directory), from_sweep)

        try:
            for step in Walk(tree.open(path), tree.rule, True, on_directory).steps():
                if step:
                    self.stats.count(tree, step[0])
                if tree.refusals >= MAX_REFUSALS:
                    break
                yield
        except OSError as error:
            self.stats.count_error(tree, error)

    def chown_top_level(self, tree: WatchedTree, path: str) -> Iterator[tuple[WatchedTree, str]]:
        """Chown what only the host writes to, and yield the directories below: the sessions."""
        try:
            fd = tree.open(path)
        except OSError as error:
            tree.exists &= bool(path)
            tree.is_not_directory = not path and error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)
            if tree.is_not_directory:
                self.stats.count_event(tree, f"{errno.errorcode[error.errno or 0]} instead of a tree")
            return self.stats.count_error(tree, error)
        try:
            tree.exists, tree.is_not_directory = True, False
            self.watch(tree, path, fd)
            mount = mount_of_fd(fd)
            with os.scandir(fd) as entries:
                for entry in entries:
                    below = f"{path}/{entry.name}" if path else entry.name
                    if not entry.is_dir(follow_symlinks=False):
                        self.chown_one(tree, fd, entry.name, mount)
                    elif tree.is_host_only(below):
                        yield from self.chown_top_level(tree, below)
                    elif below != "lost+found":
                        yield tree, below
            self.stats.count(tree, chown_open(fd, tree.rule))
        except OSError as error:
            self.stats.count_error(tree, error)
        finally:
            os.close(fd)

    def chown_one(self, tree: WatchedTree, directory: int, name: str, mount: tuple[int, bytes]) -> None:
        """Chown one entry of an open directory."""
        try:
            self.stats.count(tree, chown_entry(directory, name, tree.rule, mount))
        except OSError as error:
            self.stats.count_error(tree, error)

    def is_topmost_unwatched(self, tree: WatchedTree, path: str) -> bool:
        """Return whether this is the topmost directory without a watch. Its content is rescanned with it."""
        return not self.is_watched(tree, path) and self.is_watched(tree, path.rpartition("/")[0])

    def is_watched(self, tree: WatchedTree, path: str) -> bool:
        """Return whether a directory has a watch."""
        return any((tree.path, path) in queue.watch_of for queue in self.queues)
