"""Which new directories the guard rescans, and when."""

from __future__ import annotations

import os
import time
from heapq import heappop
from pathlib import Path

import pytest

from files.pods.guard.main import Guard
from files.pods.guard.protocol import WatchedTreeRequest
from files.pods.guard.rescan_queue import (
    BATCH_SECONDS,
    FLOOD_SECONDS,
    MAX_FROM_SWEEP,
    RECENT_SECONDS,
    RESCAN_DELAYS,
    RescanQueue,
)
from files.pods.guard.watched_tree import WatchedTree

NEW, OTHER = (0, "ag/sess"), (1, "main")


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def rescanned(rescans: RescanQueue, clock: Clock, seconds: float) -> list[tuple[int, str]]:
    """Return what is due after so many seconds."""
    clock.now += seconds
    return list(rescans.pop_due())


def test_watched_directory_is_not_rescanned(clock: Clock) -> None:
    rescans = RescanQueue()
    rescans.on_created(NEW)
    assert rescans.next_due == [] and rescanned(rescans, clock, 100) == []


def test_unwatched_directory_is_rescanned_several_times(clock: Clock) -> None:
    rescans = RescanQueue()
    assert rescans.on_unwatched(NEW, from_sweep=False)
    assert rescans.next_due == [clock.now + RESCAN_DELAYS[0]]
    assert rescanned(rescans, clock, 0.05) == []
    assert rescanned(rescans, clock, RESCAN_DELAYS[0]) == [NEW]
    assert rescanned(rescans, clock, RESCAN_DELAYS[-1]) == [NEW] * (len(RESCAN_DELAYS) - 1)
    assert rescans.next_due == []


def test_sweep_schedules_a_bounded_number_of_rescans(clock: Clock) -> None:
    """Beyond the bound a sweep repeats; new directories are rescanned anyway."""
    rescans = RescanQueue()
    taken = [rescans.on_unwatched((0, f"ag/{number}"), from_sweep=True) for number in range(2 * MAX_FROM_SWEEP)]
    assert taken == sorted(taken, reverse=True) and taken.count(True) * len(RESCAN_DELAYS) == MAX_FROM_SWEEP
    assert rescans.on_unwatched(NEW, from_sweep=False)
    assert NEW in rescanned(rescans, clock, RESCAN_DELAYS[0])


def test_directory_created_during_a_flood_is_rescanned(clock: Clock) -> None:
    rescans = RescanQueue()
    rescans.on_overflow()
    rescans.on_created(NEW)
    assert rescanned(rescans, clock, RESCAN_DELAYS[-1]) == [NEW] * len(RESCAN_DELAYS)
    clock.now += FLOOD_SECONDS
    rescans.on_created(NEW)
    assert rescans.next_due == []


def test_directory_created_just_before_a_flood_is_rescanned(clock: Clock) -> None:
    rescans = RescanQueue()
    rescans.on_created(OTHER)
    clock.now += RECENT_SECONDS + 1
    rescans.on_created(NEW)
    rescans.on_overflow()
    assert rescanned(rescans, clock, RESCAN_DELAYS[-1]) == [NEW] * len(RESCAN_DELAYS), (
        "and not what was created long ago"
    )
    rescans.on_overflow()
    assert rescans.next_due == [], "once"


def test_due_rescans_yield_after_a_while(clock: Clock) -> None:
    rescans = RescanQueue()
    for number in range(10):
        assert rescans.on_unwatched((0, f"ag/{number}"), from_sweep=False)
    clock.now += RESCAN_DELAYS[-1]
    taken = []
    for settings in rescans.pop_due():
        taken.append(settings)
        clock.now += BATCH_SECONDS / 3
    assert 1 < len(taken) < 10
    assert len(taken) + len(list(rescans.pop_due())) == 10 * len(RESCAN_DELAYS), "the rest has its turn later"


def test_directory_that_keeps_its_owner_is_rescanned_a_few_times(tmp_path: Path) -> None:
    """A directory is chowned last: each rescan of a large one finds it as the host's again."""
    host, agent = os.getuid(), os.getuid() + 1
    message = tmp_path / "ag" / "sess" / "outbox" / "message"
    message.mkdir(parents=True)
    for number in range(500):
        (message / str(number)).touch()
    place, shared = str(tmp_path), ["*/*", "*/*/outbox"]
    tree = WatchedTreeRequest(place, place, agent, os.getgid(), [host], [], hosts=["*"], shared=shared)
    guard = Guard([WatchedTree(tree)], sweep_seconds=600, flood=1000)
    steps = guard.chown_tree(guard.trees[0], "ag")
    for _ in range(5):  # as far as the directory, but not to its end
        next(steps)
    assert [path for _when, (_tree, path) in guard.rescans.heap] == ["ag/sess/outbox/message"] * len(RESCAN_DELAYS)
    count = 0
    while guard.rescans.heap:
        _when, (_number, path) = heappop(guard.rescans.heap)
        next(guard.chown_tree(guard.trees[0], path, is_rescan=True), None)
        count += 1
        assert count <= len(RESCAN_DELAYS)
