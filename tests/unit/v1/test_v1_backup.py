"""The backup of v1's database is complete and checked, and v1 does not change."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.v1.protocol import BackupRequest
from tests.lab.v1_tree import make_tree
from tests.programs import request_argv

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for mounts of its own")


def backup(v1: Path, to: Path) -> subprocess.CompletedProcess[str]:
    argv = request_argv(BackupRequest(str(v1), str(to)))
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def groups(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {folder for (folder,) in connection.execute("SELECT folder FROM registered_groups")}


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
        if not path.is_symlink()
    }


@pytest.mark.usefixtures("no_umask")
@pytest.mark.parametrize(
    ("traits", "there", "not_there"),
    [((), {"main"}, set()), (("wal",), {"main", "late"}, set()), (("journal",), {"main"}, {"phantom-0"})],
    ids=["plain", "wal", "journal"],
)
def test_backup_is_complete_and_v1_does_not_change(
    tmp_path: Path, traits: Any, there: set[str], not_there: set[str]
) -> None:
    v1, to = tmp_path / "claw", tmp_path / "backup"
    make_tree(v1, "1.2.53", traits)
    before = everything(v1)
    for _ in range(2):
        done = backup(v1, to)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["bytes"] == (to / "messages.db").stat().st_size
        assert (to / "messages.db").stat().st_mode & 0o777 == 0o600 and to.stat().st_mode & 0o777 == 0o700
        copied = groups(to / "messages.db")
        assert there <= copied and not not_there & copied
        assert everything(v1) == before
        assert sorted(path.name for path in to.parent.iterdir() if path.name.startswith("backup")) == ["backup"]


def test_corrupt_database_is_not_backed_up(tmp_path: Path) -> None:
    v1, to = tmp_path / "claw", tmp_path / "backup"
    make_tree(v1)
    with (v1 / "store" / "messages.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(3 * 4096))
    done = backup(v1, to)
    assert done.returncode != 0 and "cannot be backed up" in done.stderr
    assert list(to.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_next_run_replaces_what_an_interrupted_run_left(tmp_path: Path, kind: str) -> None:
    v1, to, new = tmp_path / "claw", tmp_path / "backup", tmp_path / "backup.new"
    make_tree(v1)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("")
    if kind == "file":
        new.write_text("half")
    elif kind == "link":
        new.symlink_to(tmp_path / "kept")
    else:
        (new / "copy").mkdir(parents=True)
        (new / "messages.db").write_text("half")
    done = backup(v1, to)
    assert done.returncode == 0, done.stderr
    assert groups(to / "messages.db") >= {"main"} and not os.path.lexists(new)
    assert (tmp_path / "kept/file").exists()


def test_failed_backup_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    v1, to = tmp_path / "claw", tmp_path / "backup"
    make_tree(v1)
    (v1 / "store/messages.db").rename(v1 / "away.db")
    assert backup(v1, to).returncode != 0
    assert not (tmp_path / "backup.new").exists()
    (v1 / "away.db").rename(v1 / "store/messages.db")
    assert backup(v1, to).returncode == 0
