"""Which new directories the guard looks at again, and when."""

from __future__ import annotations

import os
import time
from heapq import heappop
from pathlib import Path

import pytest

from files.pods.guard.main import Guard
from files.pods.guard.rescan_queue import AGAIN, NOISY, RECENT, SWEPT, WHILE, Looks
from files.pods.guard.watched_tree import Tree

NEW, OTHER = (0, "ag/sess"), (1, "main")


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def looked_at(looks: Looks, clock: Clock, seconds: float) -> list[tuple[int, str]]:
    """What is due within so many seconds from now on."""
    clock.now += seconds
    return list(looks.now())


def test_what_is_heard_is_not_looked_at_again(clock: Clock) -> None:
    looks = Looks()
    looks.made(NEW)
    assert looks.due == [] and looked_at(looks, clock, 100) == []


def test_what_is_not_heard_is_looked_at_several_times(clock: Clock) -> None:
    looks = Looks()
    assert looks.unheard(NEW, swept=False)
    assert looks.due == [clock.now + AGAIN[0]]
    assert looked_at(looks, clock, 0.05) == []
    assert looked_at(looks, clock, AGAIN[0]) == [NEW]
    assert looked_at(looks, clock, AGAIN[-1]) == [NEW] * (len(AGAIN) - 1)
    assert looks.due == []


def test_a_sweep_has_few_looked_at_again(clock: Clock) -> None:
    """Where much is wrong it says so, and a sweep comes again; what is new has its looks all the same."""
    looks = Looks()
    taken = [looks.unheard((0, f"ag/{number}"), swept=True) for number in range(2 * SWEPT)]
    assert taken == sorted(taken, reverse=True) and taken.count(True) * len(AGAIN) == SWEPT
    assert looks.unheard(NEW, swept=False)
    assert NEW in looked_at(looks, clock, AGAIN[0])


def test_a_flood_may_have_hidden_what_the_host_makes_from_then_on(clock: Clock) -> None:
    looks = Looks()
    looks.lost()
    looks.made(NEW)
    assert looked_at(looks, clock, AGAIN[-1]) == [NEW] * len(AGAIN)
    clock.now += NOISY
    looks.made(NEW)
    assert looks.due == []


def test_a_flood_may_have_hidden_what_the_host_made_just_before(clock: Clock) -> None:
    looks = Looks()
    looks.made(OTHER)
    clock.now += RECENT + 1
    looks.made(NEW)
    looks.lost()
    assert looked_at(looks, clock, AGAIN[-1]) == [NEW] * len(AGAIN), "and not what was made long ago"
    looks.lost()
    assert looks.due == [], "once"


def test_looks_that_are_due_do_not_keep_everything_else_waiting(clock: Clock) -> None:
    looks = Looks()
    for number in range(10):
        assert looks.unheard((0, f"ag/{number}"), swept=False)
    clock.now += AGAIN[-1]
    taken = []
    for place in looks.now():
        taken.append(place)
        clock.now += WHILE / 3
    assert 1 < len(taken) < 10
    assert len(taken) + len(list(looks.now())) == 10 * len(AGAIN), "the rest has its turn later"


def test_what_stays_the_hosts_is_not_looked_at_for_ever(tmp_path: Path) -> None:
    """A directory is given last, and one that is large takes its time: each look meets it as the host's once more."""
    host, agent = os.getuid(), os.getuid() + 1
    message = tmp_path / "ag" / "sess" / "outbox" / "message"
    message.mkdir(parents=True)
    for number in range(500):
        (message / str(number)).touch()
    ids = {"uid": agent, "gid": os.getgid(), "uids": [host], "gids": []}
    place = {"path": str(tmp_path), "within": str(tmp_path), "hosts": ["*"], "shared": ["*/*", "*/*/outbox"]}
    guard = Guard([Tree({**place, **ids})], sweep_seconds=600, flood=1000)
    steps = guard.cover(guard.trees[0], "ag")
    for _ in range(5):  # as far as the directory, but not to its end
        next(steps)
    assert [path for _when, (_tree, path) in guard.looks.heap] == ["ag/sess/outbox/message"] * len(AGAIN)
    looked = 0
    while guard.looks.heap:
        _when, (_number, path) = heappop(guard.looks.heap)
        next(guard.cover(guard.trees[0], path, again=True), None)
        looked += 1
        assert looked <= len(AGAIN)
