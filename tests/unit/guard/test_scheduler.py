"""The guard's scheduler: an endless session delays neither the sweep nor other sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path

from files.pods.guard.inotify import InotifyQueue
from files.pods.guard.scheduler import (
    MAX_BACKGROUND,
    MAX_PER_SESSION,
    MAX_SESSIONS,
    MAX_TURNS,
    TURN_ENTRIES,
    RoundRobin,
)


class FakeTree:
    path = "/t"


def steps(number: int | None, done: list[str], name: str) -> Iterator[None]:
    yield from repeat(None) if number is None else repeat(None, number)
    done.append(name)


def turns(scheduler: RoundRobin, until: int = 100_000) -> int:
    """Return the number of turns until the sweep ends."""
    for number in count(1):
        scheduler.run_turn()
        if not scheduler.sessions or number == until:
            return number
    raise AssertionError


def test_sessions_take_turns() -> None:
    scheduler, done = RoundRobin(), list[str]()
    scheduler.add_session(("/t", "ag/large"), steps(10 * TURN_ENTRIES, done, "large"))
    scheduler.add_session(("/t", "ag/small"), steps(10, done, "small"))
    turns(scheduler)
    assert done == ["small", "large"] and not scheduler


def test_endless_session_moves_to_the_background_and_the_sweep_ends() -> None:
    scheduler, done = RoundRobin(), list[str]()
    for number in range(MAX_SESSIONS):
        scheduler.add_session(("/t", f"ag/{number}"), steps(None, done, "never"))
    assert not scheduler.accepts_sessions
    assert turns(scheduler) < MAX_SESSIONS * (MAX_TURNS + 2)
    assert scheduler.accepts_sessions and len(scheduler.background) == MAX_SESSIONS
    scheduler.add_session(("/t", "ag/0"), steps(1, done, "again"))
    scheduler.add_session(("/t", "ag/new"), steps(1, done, "new"))
    turns(scheduler)
    assert done == ["new"], "a session in the background is not swept twice"


def test_background_is_limited_per_session_and_in_total() -> None:
    scheduler = RoundRobin()
    of_one_session = [scheduler.add_background(("/t", f"ag/sess/{number}"), repeat(None)) for number in range(5)]
    assert sum(of_one_session) == MAX_PER_SESSION
    assert not scheduler.add_background(("/t", "ag/sess/0"), repeat(None)), "each directory once"
    others = [scheduler.add_background(("/t", f"ag/{number}"), repeat(None)) for number in range(MAX_BACKGROUND)]
    assert sum(others) == MAX_BACKGROUND - MAX_PER_SESSION
    scheduler.add_session(("/t", "x/y"), repeat(None))
    dropped = sum(scheduler.run_turn() for _ in range(MAX_TURNS + 1))
    assert dropped == 1 and not scheduler.sessions


def test_events_report_only_new_entries(tmp_path: Path) -> None:
    """Agents read and write all the time: their own files' events would drown the host's."""
    queue, tree = InotifyQueue(1 << 16), FakeTree()
    directory, away = tmp_path / "outbox", tmp_path / "away"
    directory.mkdir()
    (directory / "old").write_text("old")
    away.write_text("away")
    fd = os.open(directory, os.O_RDONLY)
    assert queue.watch(tree, "ag/sess/outbox", fd) == 0
    os.close(fd)
    (directory / "old").read_text()
    list(directory.iterdir())
    (directory / "old").write_text("new")
    (directory / "old").chmod(0o600)
    assert queue.read() == ([], False)
    (directory / "file").write_text("x")
    (directory / "directory").mkdir()
    away.rename(directory / "moved")
    (directory / "link").symlink_to("old")
    (directory / "old").rename(away)
    (directory / "file").unlink()
    events, overflowed = queue.read()
    assert ([event.name for event in events], overflowed) == (["file", "directory", "moved", "link"], False)
    assert {(event.tree, event.path) for event in events} == {(tree, "ag/sess/outbox")}


def test_watch_of_a_moved_directory_ends_when_its_path_is_reused(tmp_path: Path) -> None:
    queue, tree = InotifyQueue(4096, 3), FakeTree()
    for number in range(50):
        directory = tmp_path / "inbox"
        directory.mkdir()
        fd = os.open(directory, os.O_RDONLY)
        assert queue.watch(tree, "ag/sess/inbox", fd) == 0
        os.close(fd)
        directory.rename(tmp_path / str(number))
    assert len(queue.watches) == len(queue.watch_of) == 1
    for number in range(50):
        (tmp_path / str(number) / "new").mkdir()
    events, overflowed = queue.read()
    assert [event.name for event in events] == ["new"] and not overflowed


def test_directories_of_one_session_share_its_budget(tmp_path: Path) -> None:
    queue, tree = InotifyQueue(1 << 16, 10), FakeTree()
    for name in ("inbox", "outbox", "other"):
        (tmp_path / name).mkdir()
        fd = os.open(tmp_path / name, os.O_RDONLY)
        queue.watch(tree, f"ag/{'sess' if name != 'other' else 'other'}/{name}", fd)
        os.close(fd)
    for number in range(8):
        for name in ("inbox", "outbox", "other"):
            (tmp_path / name / str(number)).mkdir()
    events, overflowed = queue.read()
    assert overflowed and queue.floods
    assert sum(event.path == "ag/other/other" for event in events) == 8
    assert sum(event.path != "ag/other/other" for event in events) == 10
