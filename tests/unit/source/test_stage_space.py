"""Room for a stage and the copies of the database is measured before anything is staged."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from files.pods.source.stage_place import stage_of
from files.pods.source.stage_space import RESERVE, Size, needs, shortfall
from files.pods.source.staging_protocol import StageSpaceRequest
from tests.unit.source.source_host import OLD, Host

MIB = 1 << 20


def write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project root with 4 MiB to stage, and 2 MiB of a database."""
    root = tmp_path / "nanoclaw"
    write(root / "node_modules/a/index.js", 3 * MIB)
    write(root / "dist/index.js", MIB)
    write(root / "data/v2.db", 2 * MIB)
    for name in ("data/v2-sessions/s/inbound.db", "groups/main/x", "store/x", ".git/objects/x"):
        write(root / name, 16 * MIB)
    return root


def mib(size: Size) -> float:
    return (size.bytes - RESERVE) / MIB


def test_stage_and_copies_need_room_and_sessions_none(root: Path) -> None:
    (need,) = needs(str(root)).values()
    assert 4 * 1.5 + 3 * 2 <= mib(need) < 4 * 1.5 + 3 * 2 + 1 and need.entries > 1000


def test_earlier_stage_is_room(root: Path) -> None:
    write(Path(stage_of(str(root))) / "node_modules/a/index.js", 5 * MIB)
    (need,) = needs(str(root)).values()
    assert 1 + 3 * 2 <= mib(need) < 1 + 3 * 2 + 1


def test_file_of_a_store_counts_by_its_share(root: Path, tmp_path: Path) -> None:
    os.link(root / "node_modules/a/index.js", tmp_path / "store")
    (need,) = needs(str(root)).values()
    assert 2.5 * 1.5 + 3 * 2 <= mib(need) < 2.5 * 1.5 + 3 * 2 + 1


def test_what_a_file_system_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = SimpleNamespace(f_bavail=10, f_frsize=1_000_000, f_favail=50, f_files=100)
    monkeypatch.setattr(os, "statvfs", lambda _path: space)
    assert shortfall("/x", Size(10_000_000, 50)) is None
    for need in (Size(10_000_001, 1), Size(1, 51)):
        assert shortfall("/x", need) == (
            f"/x: a new version beside the present one needs {int(need.bytes) // 1_000_000} MB and {need.entries} "
            "inodes, and there are 10 MB and 50 inodes free: free some space, or make the file system larger"
        )
    space.f_files = 0
    assert shortfall("/x", Size(1, 51)) is None


def test_program_ends_well_where_there_is_room(host: Host) -> None:
    host.check_out(OLD)
    done = host.run(StageSpaceRequest)
    assert (done.returncode, done.stderr) == (0, "")
