"""What a probe stands on, as it is read of the machine."""

from __future__ import annotations

import builtins
import io
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from files.pods.probe import environment, timeouts
from files.pods.probe.protocol import ProbedMount


def program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(("text", "maps"), [("N\n", True), ("Y\n", False), (None, None)])
def test_ids_are_mapped_where_the_kernel_says_so(
    text: str | None, maps: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: str, **_more: Any) -> io.StringIO:
        assert path == "/sys/module/nfs/parameters/nfs4_disable_idmapping"
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    monkeypatch.setattr(builtins, "open", opened)
    assert environment.id_mapping() is maps


@pytest.mark.parametrize(
    ("fails", "dropped"),
    [(None, True), (PermissionError(), False), (subprocess.TimeoutExpired("sysctl", 1), False)],
)
def test_failure_to_drop_the_cache_is_reported(
    fails: Exception | None, dropped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request: list[int] = []

    def drop(seconds: int) -> None:
        request.append(seconds)
        if fails:
            raise fails

    monkeypatch.setattr(environment, "drop_inodes", drop)
    assert environment.drop_permissions() is dropped and request == [timeouts.STEP]


def test_unit_property_comes_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path, "systemctl", 'test "$*" = "show --property=ActiveState --value x.service" && echo active', monkeypatch
    )
    assert environment.unit_property("x.service", "ActiveState") == "active"
    program(tmp_path, "systemctl", "echo gone >&2; exit 1", monkeypatch)
    assert environment.unit_property("x.service", "ActiveState") == ""


def test_a_mark_changes_with_what_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert environment.fingerprint(str(path)) is None
    path.write_text("one")
    info = path.stat()
    assert environment.fingerprint(str(path)) == [info.st_ino, info.st_mtime, 3]
    path.write_text("longer")
    assert (environment.fingerprint(str(path)) or [])[2] == 6


def test_space_is_that_of_the_first_directory_above_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request: list[str] = []

    def statvfs(path: str) -> Any:
        request.append(path)
        return SimpleNamespace(f_bavail=3, f_frsize=512, f_favail=0, f_files=len(request) - 1)

    monkeypatch.setattr(os, "statvfs", statvfs)
    missing = str(tmp_path / "not/there")
    assert environment.space_of(missing) == {"bytes": 1536, "inodes": 1}, "a file system without a limit of inodes"
    assert environment.space_of(missing) == {"bytes": 1536, "inodes": 0}
    assert request == [str(tmp_path)] * 2


def test_the_mount_of_a_path_is_read_from_the_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mount = SimpleNamespace(point="/pods", type="nfs4", source="nfs1:/srv", options=["rw"], more=["vers=4.2", "rw"])
    table: list[Any] = [mount]
    monkeypatch.setattr(environment, "mount_table", lambda: table)
    monkeypatch.setattr(environment, "find_mount", lambda path, table: table[0] if path == "/pods/x" else None)
    assert environment.mount_of("/pods/x") == ProbedMount("/pods", "nfs4", "nfs1:/srv", ["rw", "vers=4.2"])
    assert environment.mount_of("/other") == ProbedMount("", "", "", [])
