"""Processes that run a project root, by their command line and files in /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from files.pods.service import root_processes

ROOT = "/srv/claw"
EDITORS = ["vi", "vim", "nvim", "nano", "emacs", "sed", "git"]
READERS = [*EDITORS, "less", "more", "tail", "head", "cat", "grep", "rg", "ls"]


@pytest.mark.parametrize(
    ("line", "here", "runs"),
    [
        ("node dist/index.js", ROOT, True),
        ("/usr/bin/node --enable-source-maps /srv/claw/dist/index.js", "/", True),
        ("node ../claw/dist/index.js", "/srv/other", True),
        ("node dist/index.js", "/srv/other", False),
        ("tsx src/index.ts", ROOT, True),
        ("node dist/index", ROOT, True),
        ("node src/index", ROOT, True),
        ("node dist", ROOT, True),
        ("node .", ROOT, True),
        ("node22 /srv/claw", "/", True),
        ("nodejs .", ROOT, True),
        ("bun .", ROOT, True),
        ("deno .", ROOT, True),
        ("tsx .", ROOT, True),
        ("python3 .", ROOT, False),
        ("nodemon .", ROOT, False),
        ("sh -c node dist/index.js", ROOT, True),
        ("node server.js", ROOT, False),
        ("node other/dist/index.js", ROOT, False),
        *((f"{reader} dist/index.js", ROOT, False) for reader in READERS),
        *((f"/usr/bin/{reader} /srv/claw/dist/index.js", "/", False) for reader in READERS),
    ],
)
def test_process_that_starts_a_root_differs_from_one_that_reads_it(line: str, here: str, runs: bool) -> None:
    assert root_processes.runs_root(line.split(), here, ROOT) is runs


def test_option_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "-r").symlink_to(tmp_path)
    assert not root_processes.runs_root(["node", "-r", "x"], str(tmp_path), str(tmp_path))
    assert root_processes.runs_root(["node", "./-r"], str(tmp_path), str(tmp_path))


def test_roots_of_a_command_line_are_those_of_its_entries() -> None:
    argv = ["node", "dist/index.js", "/srv/b/src/index.ts", "/srv/c/index.js", "dist"]
    assert root_processes.roots_in(argv, "/srv/a") == ["/srv/a", "/srv/b"]


@pytest.mark.parametrize(
    ("group", "service"),
    [
        ("/system.slice/nanoclaw.service", ("system", None, "nanoclaw.service")),
        ("/system.slice/nanoclaw.service/payload", ("system", None, "nanoclaw.service")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/claw.service", ("user", 1000, "claw.service")),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", ("user", 1000, None)),
        ("/user.slice/user-1000.slice/session-3.scope", ("system", None, None)),
        ("/docker/0123/system.slice/x.service", ("system", None, None)),
        ("/init.scope", ("system", None, None)),
        ("/", ("system", None, None)),
    ],
)
def test_control_group_names_its_service(group: str, service: tuple[str, int | None, str | None]) -> None:
    assert root_processes.service_of(group) == service


@pytest.mark.parametrize(
    ("environment", "home"),
    [
        (b"HOME=/root\0PATH=/bin\0", "/root"),
        (b"PATH=/bin\0HOME=/home/ada\0", "/home/ada"),
        (b"XDG_HOME=/x\0", None),
        (b"HOME=\0", ""),
        (b"", None),
    ],
)
def test_home_of_a_process_comes_from_its_environment(environment: bytes, home: str | None) -> None:
    assert root_processes.home_in(environment) == home


@pytest.mark.parametrize(
    ("mode", "writes"), [("O_RDONLY", False), ("O_WRONLY", True), ("O_RDWR", True), ("O_RDWR | os.O_APPEND", True)]
)
def test_process_writes_a_file_that_it_has_open_for_writing(mode: str, writes: bool, tmp_path: Path) -> None:
    (tmp_path / "messages.db").touch()
    code = f"import os, sys; os.open(sys.argv[1], os.{mode}); print(flush=True); input()"
    argv = [sys.executable, "-c", code, str(tmp_path / "messages.db")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        try:
            assert started.stdout and started.stdout.readline()
            assert root_processes.writes(str(started.pid), str(tmp_path / "messages.db")) is writes
            assert not root_processes.writes(str(started.pid), str(tmp_path / "other.db"))
            assert root_processes.user_of(str(started.pid)) == os.getuid()
        finally:
            started.kill()


@pytest.mark.parametrize(("status", "uid"), [(b"Name:\tn\nUid:\t1000\t0\t0\t0\n", 1000), (b"Name:\tUid:\t7\n", 0)])
def test_real_uid_counts_and_an_unknown_one_is_root(status: bytes, uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_processes, "file_of", lambda _pid, name: {"status": status}[name])
    assert root_processes.user_of("1") == uid


@pytest.mark.parametrize("database", ["store/messages.db", None])
def test_process_with_an_open_database_runs_the_root(database: str | None, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/messages.db").touch()
    code = "open('store/messages.db', 'a'); f = open('store/messages.db', 'a'); print(flush=True); input()"
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout and started.stdout.readline()
            processes = root_processes.root_processes(str(tmp_path), lambda _uid: True, database)
            assert [(one["pid"], one["roots"]) for one in processes] == ([(started.pid, [])] if database else [])
            assert root_processes.root_processes(str(tmp_path), lambda _uid: False, database) == []
        finally:
            started.kill()
