"""What the guard counts and leaves alone where it reads the directories of the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from files.pods.guard.inotify import InotifyQueue
from files.pods.guard.protocol import WatchedTreeRequest
from files.pods.guard.tree_watcher import TreeWatcher
from files.pods.guard.watched_tree import WatchedTree
from tests.unit.trees.trees import A, needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pods").mkdir()
    return tmp_path / "pods"


@pytest.fixture
def watcher(root: Path) -> TreeWatcher:
    request = WatchedTreeRequest(str(root), str(root), A, A, [0], [0, A], hosts=["*"], shared=["*/*", "*/*/outbox"])
    return TreeWatcher([WatchedTree(request)], InotifyQueue(1 << 16), InotifyQueue(1 << 12))


def sessions(watcher: TreeWatcher) -> list[str]:
    """The sessions that a sweep goes on with, once the directories of the host are done."""
    return sorted(path for _tree, path in watcher.chown_top_level(watcher.trees[0], ""))


@needs_root
def test_sweep_goes_on_with_each_session_and_not_with_what_fsck_recovered(watcher: TreeWatcher, root: Path) -> None:
    for name in ("ag/one", "ag/two", "other/three"):
        (root / name).mkdir(parents=True)
    assert sessions(watcher) == ["ag/one", "ag/two", "other/three"]
    assert [path.stat().st_uid for path in (root, root / "ag", root / "ag/one")] == [A, A, 0]
    watcher.trees[0].host_patterns = []  # a tree without groups: sessions lie at its top
    (root / "lost+found").mkdir()
    assert sessions(watcher) == ["ag", "other"]
    assert (root / "lost+found").stat().st_uid == 0


@pytest.mark.parametrize(("path", "queue"), [("", 0), ("ag", 0), ("ag/sess", 1), ("ag/sess/outbox", 1)])
def test_each_kind_of_directory_has_its_queue(watcher: TreeWatcher, root: Path, path: str, queue: int) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    watch(watcher, root / path, path)
    assert [(str(root), path) in one.watch_of for one in watcher.queues] == [queue == 0, queue == 1]


def test_directory_that_only_agents_write_to_is_not_watched(watcher: TreeWatcher, root: Path) -> None:
    (root / "ag/sess/home").mkdir(parents=True)
    watch(watcher, root / "ag/sess/home", "ag/sess/home")
    assert [one.watch_of for one in watcher.queues] == [{}, {}]


def test_failed_watch_is_counted_unless_the_directory_is_gone(watcher: TreeWatcher, root: Path) -> None:
    """A directory that a file replaced is none of the host's; any other error must be seen."""
    (root / "file").touch()
    watch(watcher, root / "file", "ag")
    assert watcher.stats.totals == {}
    os.dup2(os.open(root, os.O_RDONLY), watcher.host_queue.fd)  # no queue any more
    watch(watcher, root, "ag")
    assert watcher.stats.totals == {"EINVAL when watching": 1}
    assert watcher.stats.since_report == {f"{root}: EINVAL when watching": 1}


def watch(watcher: TreeWatcher, path: Path, name: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        watcher.watch(watcher.trees[0], name, fd)
    finally:
        os.close(fd)
