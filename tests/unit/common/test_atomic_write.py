"""A file is replaced at once, with its rights, and is on the disk when the program goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from files.pods.common.atomic_write import replace
from tests.processes import open_files


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = open_files()
    yield
    assert open_files() == before


def test_content_and_rights_are_complete_before_the_name_is_and_both_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events, fsync, rename = tmp_path / "a/b/file", [], os.fsync, os.rename

    def record_fsync(fd: int) -> None:
        events.append(f"fsync {'folder' if Path(f'/proc/self/fd/{fd}').is_dir() else 'file'}")
        fsync(fd)

    def record_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        info = os.stat(old, dir_fd=src_dir_fd)
        events.append(f"rename to {new}: {info.st_size} bytes, {info.st_mode & 0o777:o}")
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def check(temporary: str) -> None:
        events.append(f"check {Path(temporary).read_text()} in {Path(temporary).parent.relative_to(tmp_path)}")

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    replace(str(path), b"text", 0o640, check=check)
    assert events == ["fsync file", "check text in a/b", "rename to file: 4 bytes, 640", "fsync folder"]
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"text", 0o640)
    assert [made.stat().st_mode & 0o777 for made in (tmp_path / "a", tmp_path / "a/b")] == [0o755, 0o755]


def test_what_a_check_refuses_leaves_the_file_before_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("before")

    def refuse(_temporary: str) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        replace(str(tmp_path / "file"), b"after", check=refuse)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "before")]


def test_a_new_file_is_readable_by_all_by_default(tmp_path: Path) -> None:
    replace(str(tmp_path / "file"), b"")
    info = (tmp_path / "file").stat()
    assert (info.st_mode & 0o777, info.st_uid, info.st_gid) == (0o644, os.getuid(), os.getgid())


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    replace(str(tmp_path / "file"), b"new", 0o600)
    assert not (tmp_path / "file").is_symlink() and (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "other").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="chown(2) needs root")
def test_a_file_belongs_to_its_owner_before_it_has_its_name(tmp_path: Path) -> None:
    owners = []
    for owner in ((1234, 4321), (0, 0)):
        replace(str(tmp_path / "file"), b"", owner=owner, check=lambda path: owners.append(Path(path).stat()[4:6]))
    assert owners == [(1234, 4321), (0, 0)]
