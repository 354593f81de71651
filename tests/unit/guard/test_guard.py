"""The guard: its unit, the steps that a host needs, and the program with real files."""

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
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from files.pods.guard.protocol import GuardRequest, GuardState, WatchedTreeRequest
from files.pods.guard.watched_tree import matches
from tasks.model.fleet.plan import HostPlan
from tasks.model.ownership.guard import command_line, guard_unit, steps, unit_text
from tests.builders import host_plan
from tests.programs import request_argv

PROGRAM = b"a program"


plan = partial(
    host_plan,
    pods_server="10.0.0.9",
    pods_export="/srv/pods/oslo",
    pods_export_options=["no_root_squash"],
    nanoclaw_user="root",
)


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


def test_only_a_host_that_chowns_needs_a_guard() -> None:
    assert plan().strategy.needs_guard
    assert not plan(pods_export_options=["all_squash", "anonuid=1000", "anongid=1000"]).strategy.needs_guard
    assert not plan(nanoclaw_user="nanoclaw").strategy.needs_guard


def test_nanoclaw_does_not_take_the_guard_for_a_peer() -> None:
    assert not guard_unit(plan()).startswith("nanoclaw")


def test_correct_guard_needs_no_steps() -> None:
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
def test_each_difference_has_its_steps(change: dict[str, Any], todo: set[str]) -> None:
    assert steps(replace(right(plan()), **change), plan(), PROGRAM) == todo


def test_a_new_program_or_another_tree_restarts_it() -> None:
    assert "restart" in steps(right(plan()), plan(), PROGRAM + b"#")
    assert "restart" in steps(right(plan()), plan(nanoclaw_image_uid=1001), PROGRAM)


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        (0, "group-1/.context"),
        (0, "group-1/session-1/inbox"),
        (1, "main"),
        (1, "main/.claude-fragments"),
        (1, "main/memory"),
        (1, "main/plugin-data"),
    ],
)
def test_directories_in_which_the_host_writes_beside_agents_are_watched(tree: int, path: str) -> None:
    """Of every version: .context is in data/v2-sessions from 2.3.0 on, memory from 2.1.54, plugin-data from 2.2.0."""
    document = json.loads(command_line(plan(), PROGRAM)[-1])
    shared = document["trees"][tree]["shared"]
    assert matches(path, [pattern.split("/") for pattern in shared])
    assert not matches(f"{path}/of the agent/deep", [pattern.split("/") for pattern in shared])


def test_systemd_starts_exactly_the_command_line(tmp_path: Path) -> None:
    """The unit's ExecStart, taken apart as systemd does it: single quotes around words without a quote in them."""
    text = unit_text(plan(), PROGRAM)
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    argv, _, quoted = line.removeprefix("ExecStart=").partition(" '")
    assert [*argv.split(), quoted.removesuffix("'")] == command_line(plan(), PROGRAM)
    assert not set("'%$\\") & set(quoted.removesuffix("'"))


def test_the_unit_lives_with_the_mounts() -> None:
    text = unit_text(plan(), PROGRAM)
    assert "BindsTo=pods.mount opt-nanoclaw-data-v2\\x2dsessions.mount opt-nanoclaw-groups.mount" in text
    assert "ReadWritePaths=/opt/nanoclaw/data/v2-sessions /opt/nanoclaw/groups\n" in text
    assert "ReadWritePaths=/pods\n" in unit_text(plan(nanoclaw_root="/pods/nc"), PROGRAM)


def test_unit_sets_protected_hardlinks() -> None:
    text = unit_text(plan(), PROGRAM)
    line = next(line for line in text.splitlines() if "protected_hardlinks" in line)
    assert line.startswith("ExecStartPre=-+/bin/sh -c ") and "|| echo 1 > /proc/sys/fs/protected_hardlinks" in line


A = 1000
SECONDS = 20


def wait_for(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.01)
    return False


class Manager:
    """A service manager that receives the guard's messages (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(SECONDS)

    def receives(self, what: str) -> bool:
        """Whether a message comes in time that holds this; those that nobody waited for may be lost."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if what in self.socket.recv(4096).decode():
                return True
        return False

    def messages(self, seconds: float) -> list[str]:
        """What comes within so many seconds."""
        end, messages = time.monotonic() + seconds, []
        while (rest := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], rest)[0]:
                messages.append(self.socket.recv(4096).decode())
        return messages


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
        assert wait_for(lambda: root.stat().st_uid == A), "a tree that appears later is found"
        yield root


@contextmanager
def guarding(
    manager: Manager, root: Path, inside: Path, sweep: float, mounts: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """A guard of one tree at work.

    + mounts: shell that makes its mounts, in a mount namespace of its own: others' copies would keep them mounted
    """
    tree = WatchedTreeRequest(str(root), str(inside), A, A, [0], [0, A], ["*"], ["*/*", "*/*/outbox"])
    argv = request_argv(GuardRequest(sweep, 100, [tree]))
    if mounts:
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{mounts}; exec "$@"', "sh", *argv]
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert manager.receives("READY=1")
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
def test_chown_is_in_the_journal_at_once(tmp_path: Path, manager: Manager) -> None:
    root = tmp_path / "v2-sessions"
    (root / "ag").mkdir(parents=True)
    with guarding(manager, root, root, sweep=600) as process:
        assert process.stdout and select.select([process.stdout], [], [], SECONDS)[0]
        assert process.stdout.readline() == f"{root}: chowned 2\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
def test_files_beside_sessions_are_chowned_by_a_sweep(tmp_path: Path, manager: Manager) -> None:
    """They were there before the guard, in directories that only the host writes to: no event tells of them."""
    root = tmp_path / "v2-sessions"
    (root / "ag" / "sess").mkdir(parents=True)
    (root / "loose").write_text("")
    (root / "ag" / "loose").write_text("")
    (root / "ag" / "link").symlink_to("/etc/passwd")
    with guarding(manager, root, root, sweep=600):
        assert wait_for(lambda: is_chowned(root, *root.rglob("*")))
        assert Path("/etc/passwd").stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
@pytest.mark.parametrize("kind", ["link", "file"])
def test_tree_that_is_no_directory_is_reported_and_left_alone(tmp_path: Path, manager: Manager, kind: str) -> None:
    """Unlike a missing tree it is not polled: each sweep checks again."""
    root, elsewhere = tmp_path / "v2-sessions", tmp_path / "elsewhere"
    (elsewhere / "ag").mkdir(parents=True)
    root.symlink_to(elsewhere) if kind == "link" else root.write_text("")
    with guarding(manager, root, tmp_path, sweep=2):
        assert manager.receives("instead of a tree 2"), "the first sweep is followed by another"
        start = time.monotonic()
        assert manager.receives("instead of a tree 3")
        assert time.monotonic() - start > 1
        assert [path.stat().st_uid for path in (elsewhere, elsewhere / "ag")] == [0, 0]
        root.unlink()
        elsewhere.rename(root)
        assert wait_for(lambda: is_chowned(root, root / "ag"))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
def test_tree_that_is_there_is_not_swept_again_before_its_time(tmp_path: Path, manager: Manager) -> None:
    """The first sweep is followed by one more, for what an earlier guard left undone."""
    root = tmp_path / "v2-sessions"
    (root / "ag" / "sess").mkdir(parents=True)
    with guarding(manager, root, root, sweep=600):
        assert manager.receives("swept 20")
        assert sum("swept 20" in message for message in manager.messages(2)) <= 1


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
def test_unmounted_tree_ends_the_guard_with_its_reason(tmp_path: Path, manager: Manager) -> None:
    root = tmp_path / "v2-sessions"
    root.mkdir()
    with guarding(manager, root, root, sweep=600, mounts=f"mount -t tmpfs t {root}") as process:
        assert wait_for(lambda: is_chowned(Path(f"/proc/{process.pid}/root{root}")))
        subprocess.run(["nsenter", f"--mount=/proc/{process.pid}/ns/mnt", "umount", root], check=True)
        assert process.wait(SECONDS) == 1
        assert process.stderr and process.stderr.read() == "a tree was unmounted\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away, which only root may")
def test_tree_that_became_read_only_ends_the_guard_with_its_reason(tmp_path: Path, manager: Manager) -> None:
    """systemd starts it again, with the mount as it is then."""
    root = tmp_path / "v2-sessions"
    root.mkdir()
    mounts = f"mount -t tmpfs t {root}; mkdir {root}/ag; mount -o remount,ro {root}"
    with guarding(manager, root, root, sweep=600, mounts=mounts) as process:
        assert process.wait(SECONDS) == 1
        reason = f"{root} became read-only here: restarting to use the current mounts\n"
        assert process.stderr and process.stderr.read() == reason


def test_group_named_like_a_journal_is_chowned(sessions: Path) -> None:
    folder = sessions / "dream-journal" / "my-journal"
    folder.mkdir(parents=True)
    (folder / "notes-journal").write_text("")
    assert wait_for(lambda: is_chowned(folder.parent, folder, folder / "notes-journal"))


def is_chowned(*paths: Path) -> bool:
    return all(os.lstat(path).st_uid == A for path in paths)


def test_new_session_is_chowned_with_its_content(sessions: Path) -> None:
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
    assert wait_for(lambda: is_chowned(*made)), [path for path in made if not is_chowned(path)]


def test_later_entries_of_a_session_are_chowned(sessions: Path) -> None:
    session = sessions / "ag" / "sess"
    session.mkdir(parents=True)
    assert wait_for(lambda: is_chowned(session))
    (session / "agent").mkdir()
    (session / "link").symlink_to("/etc/passwd")
    (session / "late.tmp").write_text("")
    (session / "late.tmp").rename(session / "late")
    assert wait_for(lambda: is_chowned(session / "agent", session / "link", session / "late"))
    assert Path("/etc/passwd").stat().st_uid == 0


def test_file_in_an_unwatched_directory_is_chowned(sessions: Path) -> None:
    """A message's files come after its directory. Those are not watched: there is no end of messages."""
    (sessions / "ag" / "sess" / "outbox").mkdir(parents=True)
    assert wait_for(lambda: is_chowned(sessions / "ag" / "sess" / "outbox"))
    message = sessions / "ag" / "sess" / "outbox" / "message"
    message.mkdir()
    assert wait_for(lambda: is_chowned(message))
    (message / "file").touch()
    assert wait_for(lambda: is_chowned(message / "file"))


def test_file_in_a_directory_of_a_walk_is_chowned(sessions: Path, tmp_path: Path) -> None:
    """No event tells of a message's directory that was there before its session was watched."""
    message = Path("sess", "outbox", "message")
    (tmp_path / "ag" / message).mkdir(parents=True)
    (tmp_path / "ag").rename(sessions / "ag")
    assert wait_for(lambda: is_chowned(sessions / "ag" / message))
    file = sessions / "ag" / message / "file"
    file.touch()
    assert wait_for(lambda: is_chowned(file))


def test_entries_of_other_owners_are_left_alone(sessions: Path) -> None:
    (sessions / "ag").mkdir()
    (sessions / "ag" / "other").write_text("")
    os.chown(sessions / "ag" / "other", 33, 33)
    (sessions / "ag" / "last").mkdir()
    assert wait_for(lambda: is_chowned(sessions / "ag" / "last"))
    assert os.lstat(sessions / "ag" / "other").st_uid in (33, A)


def test_huge_directory_moved_in_is_chowned(sessions: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    for number in range(2500):
        (huge / str(number)).mkdir(parents=True)
    (sessions / "ag").mkdir()
    assert wait_for(lambda: is_chowned(sessions / "ag"))
    huge.rename(sessions / "ag" / "huge")
    (sessions / "ag" / "small").mkdir()
    assert wait_for(lambda: is_chowned(sessions / "ag" / "small"))
    assert wait_for(lambda: is_chowned(sessions / "ag" / "huge", *(sessions / "ag" / "huge").iterdir()))


def test_flood_in_one_session_delays_no_other(sessions: Path, manager: Manager) -> None:
    """An agent that fills its outbox is no longer listened to, until a sweep; the host's new sessions are."""
    noisy = sessions / "ag" / "noisy" / "outbox"
    noisy.mkdir(parents=True)
    assert wait_for(lambda: is_chowned(noisy))
    flood = f"import os\nos.setgid({A}); os.setuid({A})\nwhile True: os.close(os.open('x', os.O_CREAT)); os.unlink('x')"
    with subprocess.Popen([sys.executable, "-I", "-c", flood], cwd=noisy) as agent:
        try:
            assert manager.receives("floods 1")
            for number in range(20):
                other = sessions / f"ag{number}" / "sess" / "outbox"
                other.mkdir(parents=True)
                chowned = [other, other.parent, other.parent.parent]
                assert wait_for(lambda chowned=chowned: is_chowned(*chowned))  # type: ignore[misc]
        finally:
            agent.kill()


def test_refused_chowns_end_after_a_few_tries(sessions: Path, manager: Manager) -> None:
    """Immutable files stand for a server that forbids it."""
    (sessions / "ag").mkdir()
    assert wait_for(lambda: is_chowned(sessions / "ag"))
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
        assert wait_for(lambda: is_chowned(sessions / "other"))
        assert manager.receives("EPERM 20")
    finally:
        subprocess.run(["chattr", "-R", "-i", sessions], check=True)


def test_status_reports_counters(sessions: Path, manager: Manager) -> None:
    (sessions / "ag" / "sess").mkdir(parents=True)
    assert manager.receives("chowned 3")
    (sessions / "ag" / "sess" / "outbox").mkdir()
    assert manager.receives("watching 4 directories; swept 20")
    os.mkfifo(sessions / "ag" / "pipe")
    (sessions / "ag" / "last").mkdir()
    assert manager.receives("left alone: 1 special")


def test_huge_directory_delays_no_new_session(sessions: Path, tmp_path: Path) -> None:
    huge = tmp_path / "huge"
    huge.mkdir()
    for number in range(9000):
        (huge / str(number)).touch()
    (sessions / "ag").mkdir()
    assert wait_for(lambda: is_chowned(sessions / "ag"))
    huge.rename(sessions / "ag" / "huge")
    small = sessions / "ag" / "small" / "outbox"
    small.mkdir(parents=True)
    assert wait_for(lambda: is_chowned(small))
    assert wait_for(lambda: is_chowned(*(sessions / "ag" / "huge").iterdir()))
