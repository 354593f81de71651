"""Atomic replacement of files, and the mount table."""

from __future__ import annotations

import builtins
import io
import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from files.pods.common import run_as_host_user as host_user
from files.pods.common.atomic_write import replace
from files.pods.common.mountinfo import Mount, find_mount, is_remote, may_hang, mount_table
from tasks.bundle import entry_file

TABLE = r"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 21 0:5 / /pods rw,nosuid - nfs4 [fd00::1]:/srv/a\040b rw,vers=4.2,addr=fd00::1
31 30 0:5 /v2-sessions /opt/nano\040claw/data/v2-sessions rw - nfs4 [fd00::1]:/srv rw
32 21 0:6 / /pods ro - tmpfs  rw,size=1k
33 21 0:7 / /po rw - tmpfs a\134b rw
"""


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> list[Mount]:
    monkeypatch.setattr(builtins, "open", lambda *_args, **_more: io.StringIO(TABLE))
    try:
        return mount_table()
    finally:
        monkeypatch.undo()


def test_mount_table_parses_mountinfo(table: list[Mount]) -> None:
    assert table[1] == Mount(
        "/pods", "/", "nfs4", "[fd00::1]:/srv/a b", ["rw", "nosuid"], ["rw", "vers=4.2", "addr=fd00::1"]
    )
    assert (table[2].point, table[2].root) == ("/opt/nano claw/data/v2-sessions", "/v2-sessions")
    assert (table[3].source, table[3].more) == ("", ["rw", "size=1k"])
    assert table[4].source == "a\\b"


@pytest.mark.parametrize(
    ("path", "number"),
    [("/", 0), ("/podsandmore", 0), ("/pods", 3), ("/pods/x", 3), ("/opt/nano claw/data/v2-sessions/x", 2), ("/po", 4)],
)
def test_find_mount_returns_the_deepest_and_last_mount(table: list[Mount], path: str, number: int) -> None:
    assert find_mount(path, table) is table[number]


def test_replace_swaps_the_file_atomically_and_replaces_a_link(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "deep" / "file", tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    path.parent.mkdir()
    path.symlink_to(elsewhere)
    checked: list[tuple[str, int]] = []
    replace(
        str(path), b"new\n", 0o640, check=lambda new: checked.append((Path(new).read_text(), Path(new).stat().st_mode))
    )
    assert (path.is_symlink(), path.read_text(), path.stat().st_mode & 0o777) == (False, "new\n", 0o640)
    assert checked == [("new\n", 0o100640)]
    assert elsewhere.read_text() == "mine"


def refuse(_new: str) -> None:
    raise SystemExit("no")


@pytest.mark.parametrize("check", [refuse, os.unlink])
def test_failed_check_keeps_the_old_file(tmp_path: Path, check: Callable[[str], Any]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises((SystemExit, FileNotFoundError)):
        replace(str(path), b"new", check=check)
    assert [(it.name, it.read_text()) for it in tmp_path.iterdir()] == [("file", "old")]


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre", "gfs2", "ocfs2", "glusterfs", "autofs"),
        *("virtiofs", "fuse", "fuse.sshfs", "fuse.s3fs", "fuse.glusterfs", "orangefs", "gpfs", "a-type-of-tomorrow"),
    ],
)
def test_network_file_system_of_any_type_may_hang(kind: str) -> None:
    mount = Mount("/home", "/", kind, "server:/home", ["rw"], ["rw"])
    root = Mount("/", "/", "ext4", "/dev/vda1", ["rw"], ["rw"])
    assert may_hang("/home/ada", [root, mount])
    assert not may_hang("/homes", [root, mount])


def test_local_file_systems_of_this_kernel_are_not_remote() -> None:
    listed = [line.split("\t") for line in Path("/proc/filesystems").read_text().splitlines()]
    devices = {name for nodev, name in listed if not nodev}
    assert devices and not {name for name in devices if is_remote(name)}


@pytest.mark.parametrize(
    ("kind", "server_says"), [("nfs", True), ("nfs4", True), *((kind, False) for kind in ("ceph", "virtiofs", "ext4"))]
)
def test_only_nfs_counts_as_on_network(kind: str, server_says: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other file systems root must create it: the host user cannot write to /opt."""
    monkeypatch.setattr(host_user, "mount_table", lambda: [Mount("/opt", "/", kind, "x:/opt", ["rw"], ["rw"])])
    assert host_user.on_network("/opt/nanoclaw") is server_says


def test_preflight_does_not_list_a_mount_point_on_a_dead_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "1 0 8:1 / / rw - ext4 /dev/vda1 rw\n2 1 0:9 / /srv rw - fuse.sshfs far:/ rw\n"
    listed: list[str] = []
    real_open, real_list = builtins.open, os.listdir

    def fake_open(path: Any, *args: Any, **more: Any) -> Any:
        return io.StringIO(table) if path == "/proc/self/mountinfo" else real_open(path, *args, **more)

    def fake_list(path: Any = ".") -> list[str]:
        listed.append(str(path))
        return real_list(path)

    monkeypatch.setattr(builtins, "open", fake_open)
    monkeypatch.setattr(os, "listdir", fake_list)
    paths: dict[str, Any] = {"paths": [], "marks": {}, "enter": []}
    request = {"paths": ["/srv/pods"], "account": None, "agent": None, "space": ["/srv/nanoclaw"], "places": paths}
    monkeypatch.setattr(sys, "argv", ["machine", json.dumps(request)])
    runpy.run_path(str(entry_file("machine.preflight")), run_name="__main__")
    reply = json.loads(capsys.readouterr().out)
    assert (reply["beneath"], reply["free"]) == ({"/srv/pods": None}, {"/srv/nanoclaw": None})
    assert "/srv/pods" not in listed
