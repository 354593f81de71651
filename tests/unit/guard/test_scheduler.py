"""What the guard has under way: nothing that has no end holds up a sweep, or another session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path

from files.pods.guard.inotify import Queue
from files.pods.guard.scheduler import APART, LONG, OF_ONE, TURN, UNDER_WAY, Work


class Tree:
    path = "/t"


def steps(number: int | None, done: list[str], name: str) -> Iterator[None]:
    yield from repeat(None) if number is None else repeat(None, number)
    done.append(name)


def turns(work: Work, until: int = 100_000) -> int:
    """How many until the sweep is over."""
    for number in count(1):
        work.turn()
        if not work.swept or number == until:
            return number
    raise AssertionError


def test_sessions_take_turns() -> None:
    work, done = Work(), list[str]()
    work.sweep(("/t", "ag/large"), steps(10 * TURN, done, "large"))
    work.sweep(("/t", "ag/small"), steps(10, done, "small"))
    turns(work)
    assert done == ["small", "large"] and not work


def test_a_sweep_ends_without_a_session_that_has_no_end() -> None:
    work, done = Work(), list[str]()
    for number in range(UNDER_WAY):
        work.sweep(("/t", f"ag/{number}"), steps(None, done, "never"))
    assert not work.has_room
    assert turns(work) < UNDER_WAY * (LONG + 2)
    assert work.has_room and len(work.apart) == UNDER_WAY
    work.sweep(("/t", "ag/0"), steps(1, done, "again"))
    work.sweep(("/t", "ag/new"), steps(1, done, "new"))
    turns(work)
    assert done == ["new"], "one that is still gone through is not gone through twice"


def test_one_session_has_little_room_apart_and_all_have_so_much() -> None:
    work = Work()
    of_one = [work.set_apart(("/t", f"ag/sess/{number}"), repeat(None)) for number in range(5)]
    assert sum(of_one) == OF_ONE
    assert not work.set_apart(("/t", "ag/sess/0"), repeat(None)), "each directory once"
    others = [work.set_apart(("/t", f"ag/{number}"), repeat(None)) for number in range(APART)]
    assert sum(others) == APART - OF_ONE
    work.sweep(("/t", "x/y"), repeat(None))
    given_up = sum(work.turn() for _ in range(LONG + 1))
    assert given_up == 1 and not work.swept


def test_only_what_is_new_in_a_directory_is_told_of(tmp_path: Path) -> None:
    """Agents read and write all the time: their own files' events would drown the host's."""
    queue, tree = Queue(1 << 16), Tree()
    place, away = tmp_path / "outbox", tmp_path / "away"
    place.mkdir()
    (place / "old").write_text("old")
    away.write_text("away")
    handle = os.open(place, os.O_RDONLY)
    assert queue.watch(tree, "ag/sess/outbox", handle) == 0
    os.close(handle)
    (place / "old").read_text()
    list(place.iterdir())
    (place / "old").write_text("new")
    (place / "old").chmod(0o600)
    assert queue.read() == ([], False)
    (place / "file").write_text("x")
    (place / "directory").mkdir()
    away.rename(place / "moved")
    (place / "link").symlink_to("old")
    (place / "old").rename(away)
    (place / "file").unlink()
    events, lost = queue.read()
    assert ([event.name for event in events], lost) == (["file", "directory", "moved", "link"], False)
    assert {(event.tree, event.path) for event in events} == {(tree, "ag/sess/outbox")}


def test_a_directory_that_was_moved_away_is_watched_no_more_once_its_place_has_another(tmp_path: Path) -> None:
    queue, tree = Queue(4096, 3), Tree()
    for number in range(50):
        place = tmp_path / "inbox"
        place.mkdir()
        handle = os.open(place, os.O_RDONLY)
        assert queue.watch(tree, "ag/sess/inbox", handle) == 0
        os.close(handle)
        place.rename(tmp_path / str(number))
    assert len(queue.watches) == len(queue.places) == 1
    for number in range(50):
        (tmp_path / str(number) / "new").mkdir()
    events, lost = queue.read()
    assert [event.name for event in events] == ["new"] and not lost


def test_the_directories_of_one_session_share_what_it_may_make(tmp_path: Path) -> None:
    queue, tree = Queue(1 << 16, 10), Tree()
    for name in ("inbox", "outbox", "other"):
        (tmp_path / name).mkdir()
        handle = os.open(tmp_path / name, os.O_RDONLY)
        queue.watch(tree, f"ag/{'sess' if name != 'other' else 'other'}/{name}", handle)
        os.close(handle)
    for number in range(8):
        for name in ("inbox", "outbox", "other"):
            (tmp_path / name / str(number)).mkdir()
    events, lost = queue.read()
    assert lost and queue.floods
    assert sum(event.path == "ag/other/other" for event in events) == 8
    assert sum(event.path != "ag/other/other" for event in events) == 10
