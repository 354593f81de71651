"""Doubts about a service: where its HOME comes from, whether it starts by itself, and how long its breaker waits."""

from __future__ import annotations

import grp
import os
import pwd
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from files.pods.service import root_units, serving, v2_installs


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("A=b\n", False),
        ("HOME=/x\n", True),
        ("export HOME=/x\n", True),
        ("HO\\\nME=/x\n", True),
        ("HO\nME=/x\n", False),
    ],
)
def test_file_of_variables_may_set_home_if_it_names_it(tmp_path: Path, text: str, doubt: bool) -> None:
    (tmp_path / "env").write_text(text)
    reason = f"EnvironmentFile={tmp_path}/env may set HOME"
    files = [str(tmp_path / "none"), str(tmp_path / "env")]
    assert root_units.home_doubt(files, "/usr/bin/node dist/index.js") == (reason if doubt else None)


@pytest.mark.parametrize("kind", ["directory", "dangling link"])
def test_file_of_variables_that_cannot_be_read_may_set_home(tmp_path: Path, kind: str) -> None:
    if kind == "directory":
        (tmp_path / "env").mkdir()
    else:
        (tmp_path / "env").symlink_to("nowhere")
    assert root_units.home_doubt([f"{tmp_path}/env"], "node") == f"EnvironmentFile={tmp_path}/env may set HOME"


@pytest.mark.parametrize("command", ["sudo -u a node", "su a -c node", "runuser -u a node", "setpriv node"])
def test_command_that_changes_the_user_may_set_home(command: str) -> None:
    why = "its command may set HOME"
    assert root_units.home_doubt([], f"/usr/bin/{command}") == why
    assert root_units.home_doubt([], "machinectl shell a@ node") == root_units.home_doubt([], "HOME=/x node") == why
    assert root_units.home_doubt([], "node sudoku.js; MYHOME=/x superb") is None


@pytest.mark.parametrize(
    ("active", "state", "starts"),
    [
        ("active", "disabled", True),
        ("activating", "masked", True),
        ("unknown", "disabled", True),
        ("inactive", "enabled", True),
        ("failed", "static", True),
        ("no manager", "linked", True),
        ("inactive", "disabled", False),
        ("failed", "masked", False),
        ("no manager", "disabled", False),
    ],
)
def test_service_would_start_if_it_runs_or_something_may_start_it(active: str, state: str, starts: bool) -> None:
    assert root_units.would_start({"active": active, "file_state": state}) is starts


@pytest.mark.parametrize(
    ("attempt", "since", "left"),
    [(1, 0, 0), (2, 0, 0), (3, 0, 10), (3, 4, 6), (4, 0, 30), (5, 20, 100), (6, 0, 300), (7, 0, 900), (9, 0, 900)],
)
def test_breaker_waits_longer_after_each_crash(attempt: float, since: float, left: int) -> None:
    assert serving.pause_left(attempt, time.time() - since, 100) == left


@pytest.mark.parametrize("attempt", [0, 0.5, -1, 10_000, float("inf"), float("nan")])
def test_odd_number_of_attempts_is_no_pause(attempt: float) -> None:
    assert serving.pause_left(attempt, time.time(), 100) == 0
    assert serving.pause_left(9_999, time.time(), 100) == 900


def test_pause_of_an_earlier_start_does_not_count() -> None:
    """The file may be a few seconds older than what systemd calls the start."""
    assert serving.pause_left(7, time.time() - 14, 10) == 886
    assert serving.pause_left(7, time.time() - 16, 10) == 0


@pytest.mark.parametrize(
    ("package", "is_ours"),
    [
        ('{"name": "nanoclaw", "version": "2.0.1"}', True),
        ('{"name":"nanoclaw", "version": "2"}', True),
        ('{"name": "nanoclaw", "version": "1.2.53"}', False),
        ('{"name": "nanoclaw-fork", "version": "2.0.1"}', False),
        ('{"version": "2.0.1"}', False),
        (None, False),
    ],
)
def test_nanoclaw_of_version_2_is_known_by_its_package(tmp_path: Path, package: str | None, is_ours: bool) -> None:
    if package is not None:
        (tmp_path / "package.json").write_text(package)
    assert v2_installs.is_nanoclaw(str(tmp_path)) is is_ours


def test_who_can_start_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root, members of Docker's group, and users with a daemon of their own."""
    groups: dict[str, Any] = {"docker": SimpleNamespace(gr_gid=990)}
    monkeypatch.setattr(grp, "getgrnam", groups.__getitem__)
    names = {1000: "ada", 1001: "eve"}
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name=names[uid], pw_gid=uid))
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, *([990] if name == "ada" else [])])
    sockets = {"/run/user/1002/docker.sock"}
    monkeypatch.setattr(os.path, "lexists", sockets.__contains__)
    assert [uid for uid in (0, 1000, 1001, 1002, 1003) if v2_installs.has_docker(uid)] == [0, 1000, 1002]
    groups.clear()
    assert [uid for uid in (0, 1000, 1001, 1002, 1003) if v2_installs.has_docker(uid)] == [0, 1002]
