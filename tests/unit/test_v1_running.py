"""Where a NanoClaw v1 is found, and what runs it: units in both managers, processes, pid files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from files.programs import v1_database, v1_find, v1_running
from files.programs.careful import LARGEST, text_of
from tests.lab.v1_tree import make_tree, unit_text
from tests.unit.trees import needs_root


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of this machine's system units."""
    directory = tmp_path / "etc"
    directory.mkdir()
    for module in (v1_running, v1_find):
        monkeypatch.setattr(module, "SYSTEM_UNITS", (str(directory),))
    return directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "andy" / v1_running.USER_UNITS).mkdir(parents=True)
    return tmp_path / "andy"


@contextmanager
def process(root: Path, word: str, *wrapped: str) -> Iterator[int]:
    words = [*wrapped, sys.executable, "-c", "print(flush=True); input()", word]
    with subprocess.Popen(
        words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as started:
        try:
            assert started.stdout and started.stdout.readline()  # before, it may have no command line yet
            yield started.pid
        finally:
            started.kill()


def user_unit(home: Path, root: Path, enabled: bool = True) -> Path:
    place = home / v1_running.USER_UNITS
    (place / "nanoclaw.service").write_text(unit_text(root, home))
    if enabled:
        (place / "default.target.wants").mkdir()
        (place / "default.target.wants/nanoclaw.service").symlink_to("../nanoclaw.service")
    return place / "nanoclaw.service"


def test_units_are_found_in_both_managers_by_what_they_run(units: Path, home: Path, tmp_path: Path) -> None:
    root = tmp_path / "claw"
    make_tree(root)
    (units / "nanoclaw.service").write_text(unit_text(root, Path("/root")).replace("Restart", "User=1000\nRestart"))
    (units / "other.service").write_text(unit_text(tmp_path / "another", Path("/root")))
    path = user_unit(home, root)
    found = v1_running.units(str(root), [str(home), str(tmp_path / "nobody")])
    assert [(unit["manager"], unit["name"], unit["uid"], unit["home"], unit["enabled"]) for unit in found] == [
        ("system", "nanoclaw.service", 1000, "/root", False),
        ("user", "nanoclaw.service", path.stat().st_uid, str(home), True),
    ]
    assert found[1]["file"] == str(path)


def test_a_unit_that_is_linked_counts_once_and_a_pipe_is_not_waited_for(
    units: Path, home: Path, tmp_path: Path
) -> None:
    root = tmp_path / "claw"
    make_tree(root)
    path = user_unit(home, root, enabled=False)
    path.with_name("alias.service").symlink_to(path.name)
    os.mkfifo(units / "pipe.service")
    (found,) = v1_running.units(str(root), [str(home)])
    assert (found["enabled"], found["manager"]) == (False, "user")


@pytest.mark.parametrize("word", ["{root}/dist/index.js", "dist/index.js", "src/index.ts"])
def test_a_process_is_found_by_what_it_runs(tmp_path: Path, word: str) -> None:
    root = tmp_path / "claw"
    make_tree(root)
    with process(root, word.format(root=root)) as pid:
        (found,) = v1_running.processes(str(root))
        assert (found["pid"], found["uid"], found["directory"]) == (pid, os.getuid(), str(root))
        assert v1_running.processes(str(tmp_path / "another")) == []
    assert v1_running.processes(str(root)) == []


@needs_root
def test_a_process_that_sees_other_files_is_a_containers_unless_a_service_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardened service has mounts of its own (systemd.exec(5), PrivateTmp=)."""
    root = tmp_path / "claw"
    make_tree(root)
    group = tmp_path / "cgroup"
    real = open
    with process(root, "dist/index.js", "unshare", "--mount") as pid:
        monkeypatch.setattr(
            v1_running,
            "open",
            lambda path, **more: real(group if path == f"/proc/{pid}/cgroup" else path, **more),
            raising=False,
        )
        group.write_text("0::/system.slice/docker-1234.scope\n")
        assert v1_running.processes(str(root)) == []
        group.write_text("0::/system.slice/nanoclaw.service\n")
        (found,) = v1_running.processes(str(root))
        assert (found["pid"], found["manager"], found["unit"]) == (pid, "system", "nanoclaw.service")


@pytest.mark.parametrize(("text", "pid"), [("123\n", 123), ("", None), ("12 34", None), ("-1", None)])
def test_a_pid_file_is_read(tmp_path: Path, text: str, pid: int | None) -> None:
    assert v1_running.pid_file(str(tmp_path)) is None
    (tmp_path / "nanoclaw.pid").write_text(text)
    assert v1_running.pid_file(str(tmp_path)) == {"file": f"{tmp_path}/nanoclaw.pid", "pid": pid}


def test_docker_is_not_started_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    docker = tmp_path / "docker"
    lines = "nanoclaw-main-1\\t\\nnanoclaw-v2-main-2\\t3282970f\\nmy-nanoclaw-x\\t\\n"
    docker.write_text(f"#!/bin/sh\ntouch {asked}\nprintf '{lines}'\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(v1_running, "DOCKER_PIDS", (str(tmp_path / "none"),))
    assert v1_running.containers() == [] and not asked.exists()
    monkeypatch.setattr(v1_running, "DOCKER_PIDS", (str(docker),))
    assert v1_running.containers() == ["nanoclaw-main-1"]
    docker.write_text("#!/bin/sh\nexit 1\n")
    assert v1_running.containers() is None


@needs_root
def found_by_auto(tmp_path: Path, root: Path, home: Path) -> list[dict[str, Any]]:
    """What "auto" finds of the test's own: what others run on this machine is found as well, other tests' v1 too."""
    found = v1_find.candidates("auto", str(root), [str(home)])
    return [one for one in found if one["path"].startswith(f"{tmp_path}/")]


def test_installs_are_found_where_nanoclaw_and_its_services_have_them(units: Path, home: Path, tmp_path: Path) -> None:
    opt = tmp_path / "opt"
    for name in ("v1", "second"):
        make_tree(opt / name)
    for name in ("v2", "nanoclaw"):
        make_tree(opt / name)
        (opt / name / "package.json").write_text('{"version": "2.0.64"}')
    make_tree(home / "claw")
    make_tree(home / "wrapped")
    (home / "wrapped/nanoclaw.pid").write_text("1")
    user_unit(home, home / "claw")
    (units / "nanoclaw.service").write_text(unit_text(opt / "gone", Path("/root")))
    make_tree(tmp_path / "elsewhere")
    with process(tmp_path / "elsewhere", "dist/index.js") as pid:
        found = found_by_auto(tmp_path, opt / "nanoclaw", home)
    assert {one["path"].removeprefix(f"{tmp_path}/"): (one["kind"], *one["by"]) for one in found} == {
        "opt/v1": ("v1", f"beside {opt}/nanoclaw"),
        "opt/second": ("v1", f"beside {opt}/nanoclaw"),
        "opt/gone": ("absent", f"by {units}/nanoclaw.service"),
        "andy/claw": ("v1", f"by {home}/{v1_running.USER_UNITS}/nanoclaw.service"),
        "andy/wrapped": ("v1", f"by {home}/wrapped/nanoclaw.pid"),
        "elsewhere": ("v1", f"by process {pid}"),
    }


def test_an_install_that_is_found_twice_is_one(units: Path, home: Path, tmp_path: Path) -> None:
    make_tree(tmp_path / "opt/claw")
    (tmp_path / "opt/link").symlink_to("claw")
    user_unit(home, tmp_path / "opt/link")
    (found,) = found_by_auto(tmp_path, tmp_path / "opt/nanoclaw", home)
    assert found["path"] == str(tmp_path / "opt/claw") and len(found["by"]) == 2


def test_a_log_that_is_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "claw", traits=["journal"])
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(v1_database, "COPY_AT_MOST", 10_000)
    found = v1_database.database(str(tmp_path / "claw/store"), str(tmp_path / "scratch"))
    assert found["state"] == "unread" and "too large for a copy in memory" in found["text"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_only_small_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    os.mkfifo(tmp_path / "pipe")
    names = ("file", "link", "large", "pipe", "none")
    assert [text_of(str(tmp_path / name)) for name in names] == ["text", None, None, None, None]
    assert text_of(str(tmp_path / "link"), follow=True) == "text"
