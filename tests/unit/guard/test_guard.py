"""The guard: what its unit says, when something is to be done, and what the program does with real files."""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.model.fleet.plan import HostPlan, Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.ownership.guard import GuardState, command_line, guard_unit, steps, unit_text
from tests.programs import entry_argv

PROGRAM = b"a program"


def plan(**data: Any) -> HostPlan:
    given = {
        "pods_server": "10.0.0.1",
        "pods_export": "/srv/pods/h",
        "pods_address": "10.0.0.2",
        "pods_export_options": ["no_root_squash"],
        "nanoclaw_user": "root",
        **data,
    }
    return plan_fleet([Machine("h", ("nanoclaw_hosts",), given)]).hosts["h"]


def right(of: HostPlan) -> GuardState:
    return GuardState(
        program=hashlib.sha256(PROGRAM).hexdigest(),
        older=[],
        unit=unit_text(of, PROGRAM),
        enabled=True,
        active=True,
        needs_reload=False,
        running=command_line(of, PROGRAM),
        others=[],
    )


def test_only_a_host_that_gives_its_sessions_away_has_a_guard() -> None:
    assert plan().strategy.needs_guard
    assert not plan(pods_export_options=["all_squash", "anonuid=1000", "anongid=1000"]).strategy.needs_guard
    assert not plan(nanoclaw_user="nanoclaw").strategy.needs_guard


def test_nanoclaw_does_not_take_the_guard_for_a_peer() -> None:
    assert not guard_unit(plan()).startswith("nanoclaw")


def test_nothing_is_to_be_done_for_a_guard_that_is_right() -> None:
    assert steps(right(plan()), plan(), PROGRAM) == frozenset()


@pytest.mark.parametrize(
    ("change", "todo"),
    [
        ({"program": None}, {"program"}),
        ({"unit": "[Unit]\n"}, {"unit", "reload", "enable"}),
        ({"needs_reload": True}, {"reload"}),
        ({"enabled": False}, {"enable"}),
        ({"active": False, "running": []}, {"restart"}),
        ({"running": ["/usr/bin/python3", "older"]}, {"restart"}),
    ],
)
def test_each_thing_that_differs_is_mended(change: dict[str, Any], todo: set[str]) -> None:
    assert steps(replace(right(plan()), **change), plan(), PROGRAM) == todo


def test_a_new_program_or_another_tree_restarts_it() -> None:
    assert "restart" in steps(right(plan()), plan(), PROGRAM + b"#")
    assert "restart" in steps(right(plan()), plan(nanoclaw_image_uid=1001), PROGRAM)


def test_systemd_starts_exactly_the_command_line(tmp_path: Path) -> None:
    """The unit's ExecStart, taken apart as systemd does it: single quotes around words without a quote in them."""
    text = unit_text(plan(), PROGRAM)
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    words, _, quoted = line.removeprefix("ExecStart=").partition(" '")
    assert [*words.split(), quoted.removesuffix("'")] == command_line(plan(), PROGRAM)
    assert not set("'%$\\") & set(quoted.removesuffix("'"))


def test_the_unit_lives_with_the_mounts() -> None:
    text = unit_text(plan(), PROGRAM)
    assert "BindsTo=pods.mount opt-nanoclaw-data-v2\\x2dsessions.mount opt-nanoclaw-groups.mount" in text
    assert "ReadWritePaths=/opt/nanoclaw/data/v2-sessions /opt/nanoclaw/groups\n" in text
    assert "ReadWritePaths=/pods\n" in unit_text(plan(nanoclaw_root="/pods/nc"), PROGRAM)


def test_the_guard_runs_where_nobody_links_files_that_are_not_his() -> None:
    text = unit_text(plan(), PROGRAM)
    line = next(line for line in text.splitlines() if "protected_hardlinks" in line)
    assert line.startswith("ExecStartPre=-+/bin/sh -c ") and "|| echo 1 > /proc/sys/fs/protected_hardlinks" in line


A = 1000
SECONDS = 20


def within(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.01)
    return False


class Manager:
    """What a service manager hears from the guard (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(SECONDS)

    def hears(self, what: str) -> bool:
        """Whether a message comes in time that holds this; those that nobody waited for may be lost."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if what in self.socket.recv(4096).decode():
                return True
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.socket.close()


@pytest.fixture
def sessions(tmp_path: Path, manager: Manager) -> Iterator[Path]:
    """A tree with the guard at work. Its sweeps are too far apart to help."""
    if os.geteuid() != 0:
        pytest.skip("gives files away, which only root may")
    root = tmp_path / "v2-sessions"
    with guarding(manager, root, root, sweep=600):
        root.mkdir()
        assert within(lambda: root.stat().st_uid == A), "a tree that appears later is found"
        yield root


@contextmanager
def guarding(manager: Manager, root: Path, inside: Path, sweep: float) -> Iterator[subprocess.Popen[str]]:
    """A guard of one tree at work."""
    ids = {"uid": A, "gid": A, "uids": [0], "gids": [0, A]}
    tree = {"path": str(root), "within": str(inside), **ids, "hosts": ["*"], "shared": ["*/*", "*/*/outbox"]}
    arguments = json.dumps({"sweep": sweep, "flood": 100, "trees": [tree]})
    words = [*entry_argv("guard.main"), arguments]
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert manager.hears("READY=1")
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
def test_what_was_given_is_in_the_journal_at_once(tmp_path: Path, manager: Manager) -> None:
    root = tmp_path / "v2-sessions"
    (root / "ag").mkdir(parents=True)
    with guarding(manager, root, root, sweep=600) as process:
        assert process.stdout and select.select([process.stdout], [], [], SECONDS)[0]
        assert process.stdout.readline() == f"{root}: given 2\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_directory_in_the_place_of_a_tree_is_told_and_left_alone_until_it_is_one(
    tmp_path: Path, manager: Manager, kind: str
) -> None:
    """It is not looked for all the time, as a tree that is not there yet is: each sweep looks again."""
    root, elsewhere = tmp_path / "v2-sessions", tmp_path / "elsewhere"
    (elsewhere / "ag").mkdir(parents=True)
    root.symlink_to(elsewhere) if kind == "link" else root.write_text("")
    with guarding(manager, root, tmp_path, sweep=2):
        assert manager.hears("instead of a tree 2"), "the first sweep is followed by another"
        begun = time.monotonic()
        assert manager.hears("instead of a tree 3")
        assert time.monotonic() - begun > 1
        assert [path.stat().st_uid for path in (elsewhere, elsewhere / "ag")] == [0, 0]
        root.unlink()
        elsewhere.rename(root)
        assert within(lambda: is_given(root, root / "ag"))


def test_a_group_may_be_called_a_journal(sessions: Path) -> None:
    folder = sessions / "dream-journal" / "my-journal"
    folder.mkdir(parents=True)
    (folder / "notes-journal").write_text("")
    assert within(lambda: is_given(folder.parent, folder, folder / "notes-journal"))


def is_given(*paths: Path) -> bool:
    return all(os.lstat(path).st_uid == A for path in paths)


def test_a_new_session_is_given_with_all_that_is_in_it(sessions: Path) -> None:
    for number in range(30):
        session = sessions / f"ag{number % 3}" / f"sess{number}"
        (session / "outbox").mkdir(parents=True)
        for name in ("inbound.db", "outbound.db"):
            database = sqlite3.connect(session / name)
            database.execute("CREATE TABLE note (text)")
            database.commit()
            database.close()
    made = list(sessions.rglob("*"))
    assert len(made) == 3 + 30 * 4
    assert within(lambda: is_given(*made)), [path for path in made if not is_given(path)]


def test_what_is_made_later_in_a_session_is_given_too(sessions: Path) -> None:
    session = sessions / "ag" / "sess"
    session.mkdir(parents=True)
    assert within(lambda: is_given(session))
    (session / "agent").mkdir()
    (session / "link").symlink_to("/etc/passwd")
    (session / "late.tmp").write_text("")
    (session / "late.tmp").rename(session / "late")
    assert within(lambda: is_given(session / "agent", session / "link", session / "late"))
    assert Path("/etc/passwd").stat().st_uid == 0


def test_what_is_made_in_a_directory_that_is_not_watched_is_given(sessions: Path) -> None:
    """A message's files come after its directory. Those are not watched: there is no end of messages."""
    (sessions / "ag" / "sess" / "outbox").mkdir(parents=True)
    assert within(lambda: is_given(sessions / "ag" / "sess" / "outbox"))
    message = sessions / "ag" / "sess" / "outbox" / "message"
    message.mkdir()
    assert within(lambda: is_given(message))
    (message / "file").touch()
    assert within(lambda: is_given(message / "file"))


def test_what_is_made_in_one_that_a_walk_came_upon_is_given_as_well(sessions: Path, tmp_path: Path) -> None:
    """No event tells of a message's directory that was there before its session was watched."""
    message = Path("sess", "outbox", "message")
    (tmp_path / "ag" / message).mkdir(parents=True)
    (tmp_path / "ag").rename(sessions / "ag")
    assert within(lambda: is_given(sessions / "ag" / message))
    file = sessions / "ag" / message / "file"
    file.touch()
    assert within(lambda: is_given(file))


def test_others_entries_are_left_alone(sessions: Path) -> None:
    (sessions / "ag").mkdir()
    (sessions / "ag" / "other").write_text("")
    os.chown(sessions / "ag" / "other", 33, 33)
    (sessions / "ag" / "last").mkdir()
    assert within(lambda: is_given(sessions / "ag" / "last"))
    assert os.lstat(sessions / "ag" / "other").st_uid in (33, A)


def test_a_huge_directory_that_is_moved_in_is_given_by_a_sweep(sessions: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    for number in range(2500):
        (huge / str(number)).mkdir(parents=True)
    (sessions / "ag").mkdir()
    assert within(lambda: is_given(sessions / "ag"))
    huge.rename(sessions / "ag" / "huge")
    (sessions / "ag" / "small").mkdir()
    assert within(lambda: is_given(sessions / "ag" / "small"))
    assert within(lambda: is_given(sessions / "ag" / "huge", *(sessions / "ag" / "huge").iterdir()))


def test_a_flood_in_one_session_holds_up_no_other(sessions: Path, manager: Manager) -> None:
    """An agent that fills its outbox is no longer listened to, until a sweep; the host's new sessions are."""
    noisy = sessions / "ag" / "noisy" / "outbox"
    noisy.mkdir(parents=True)
    assert within(lambda: is_given(noisy))
    flood = f"import os\nos.setgid({A}); os.setuid({A})\nwhile True: os.close(os.open('x', os.O_CREAT)); os.unlink('x')"
    with subprocess.Popen([sys.executable, "-I", "-c", flood], cwd=noisy) as agent:
        try:
            assert manager.hears("floods 1")
            for number in range(20):
                other = sessions / f"ag{number}" / "sess" / "outbox"
                other.mkdir(parents=True)
                given = [other, other.parent, other.parent.parent]
                assert within(lambda given=given: is_given(*given))  # type: ignore[misc]
        finally:
            agent.kill()


def test_where_nothing_can_be_given_it_does_not_try_each_entry(sessions: Path, manager: Manager) -> None:
    """Immutable files stand for a server that forbids it."""
    (sessions / "ag").mkdir()
    assert within(lambda: is_given(sessions / "ag"))
    huge = sessions.parent / "huge"
    huge.mkdir()
    names = [huge / str(number) for number in range(300)]
    for name in names:
        name.touch()
    if subprocess.run(["chattr", "+i", *names], capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        huge.rename(sessions / "ag" / "huge")
        (sessions / "other").mkdir()
        assert within(lambda: is_given(sessions / "other"))
        assert manager.hears("EPERM 20")
    finally:
        subprocess.run(["chattr", "-R", "-i", sessions], check=True)


def test_it_says_how_it_is(sessions: Path, manager: Manager) -> None:
    (sessions / "ag" / "sess").mkdir(parents=True)
    assert manager.hears("given 3")
    (sessions / "ag" / "sess" / "outbox").mkdir()
    assert manager.hears("watching 4 directories; swept 20")
    os.mkfifo(sessions / "ag" / "pipe")
    (sessions / "ag" / "last").mkdir()
    assert manager.hears("left alone: 1 special")


def test_a_huge_directory_that_was_made_elsewhere_holds_up_no_new_session(sessions: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    huge.mkdir()
    for number in range(9000):
        (huge / str(number)).touch()
    (sessions / "ag").mkdir()
    assert within(lambda: is_given(sessions / "ag"))
    huge.rename(sessions / "ag" / "huge")
    small = sessions / "ag" / "small" / "outbox"
    small.mkdir(parents=True)
    assert within(lambda: is_given(small))
    assert within(lambda: is_given(*(sessions / "ag" / "huge").iterdir()))
