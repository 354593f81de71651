"""The program that writes a file: its own text, run as on a machine, also where it fails."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.machine.protocol import WriteFileRequest
from tests.programs import request_argv


def write(path: Path, content: bytes, **more: Any) -> subprocess.CompletedProcess[bytes]:
    request = replace(WriteFileRequest(str(path), "0640", os.getuid(), os.getgid(), []), **more)
    return subprocess.run(request_argv(request), input=content, capture_output=True, timeout=60)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_has_content_and_mode_and_no_temporary_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "new/deep/file"
    assert write(path, b"one\n\xff\x00").returncode == 0
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one\n\xff\x00", 0o640)
    assert names(path.parent) == ["file"]


def test_existing_file_is_replaced_atomically(tmp_path: Path) -> None:
    """Who has the old one open goes on to read it: it is another inode."""
    path = tmp_path / "file"
    path.write_text("old\n")
    with path.open() as old:
        assert write(path, b"new\n").returncode == 0
        assert old.read() == "old\n"
    assert path.read_text() == "new\n"


def test_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_text("untouched\n")
    path.symlink_to(target)
    assert write(path, b"new\n").returncode == 0
    assert (path.is_symlink(), path.read_text(), target.read_text()) == (False, "new\n", "untouched\n")


def test_checker_gets_the_new_file_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old\n")
    read = 'test "$(cat "$1")" = new && test "$(stat -c %a "$1")" = 640 && test "$(cat "$2")" = old'
    done = write(path, b"new\n", validate=["sh", "-c", read, "sh", "{}", str(path)])
    assert (done.returncode, path.read_text()) == (0, "new\n"), done.stderr


@pytest.mark.parametrize(
    ("validate", "message"),
    [
        (["sh", "-c", "echo line 3 is wrong; exit 1"], b"file was not changed: sh says\nline 3 is wrong\n"),
        (["sh", "-c", "echo and here why >&2; exit 2"], b"and here why"),
        (["sh", "-c", "kill -9 $$"], b"file was not changed: sh says"),
        (["/nonexistent/checker", "{}"], b"/nonexistent/checker"),
    ],
)
def test_refused_content_leaves_the_old_file(validate: list[str], message: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old\n")
    done = write(path, b"new secret\n", validate=validate)
    assert done.returncode != 0
    assert message in done.stderr and b"secret" not in done.stderr + done.stdout
    assert (path.read_text(), names(tmp_path)) == ("old\n", ["file"])


def test_refused_content_creates_no_file(tmp_path: Path) -> None:
    assert write(tmp_path / "file", b"new\n", validate=["false"]).returncode != 0
    assert names(tmp_path) == []


def test_directory_at_the_files_path_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file/kept").mkdir(parents=True)
    assert write(tmp_path / "file", b"new\n").returncode != 0
    assert (names(tmp_path), names(tmp_path / "file")) == (["file"], ["kept"])


def test_file_at_a_parent_directorys_path_is_kept(tmp_path: Path) -> None:
    (tmp_path / "above").write_text("a file\n")
    assert write(tmp_path / "above/file", b"new\n").returncode != 0
    assert (tmp_path / "above").read_text() == "a file\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_file_has_its_owner_before_it_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "file"
    read = 'test "$(stat -c %u:%g "$1")" = 1234:1235'
    assert write(path, b"x\n", uid=1234, gid=1235, validate=["sh", "-c", read, "sh", "{}"]).returncode == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
def test_full_disk_leaves_the_old_file_and_no_temporary_file(tmp_path: Path) -> None:
    write = shlex.join(request_argv(WriteFileRequest(f"{tmp_path}/file", "0644", 0, 0, [])))
    script = (
        f"mount -t tmpfs -o size=64k tmpfs {tmp_path} && echo old > {tmp_path}/file && "
        f'head -c 1000000 /dev/zero | {write}; echo "status $?"; ls -A {tmp_path}; '
        f"cat {tmp_path}/file"
    )
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["status", "1", "file", "old"], done.stderr
    assert "No space left on device" in done.stderr
