"""System calls by ctypes: in one module, and with errors as OSError."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import pytest

from files.pods.common import linux
from tasks.bundle import PODS


def test_only_one_module_uses_ctypes() -> None:
    users = [path for path in PODS.rglob("*.py") if re.search(r"^import ctypes|^from ctypes", path.read_text(), re.M)]
    assert users == [PODS / "common/linux.py"]


def test_failed_call_is_an_oserror_with_its_errno() -> None:
    ctypes.set_errno(17)
    with pytest.raises(FileExistsError):
        linux.check(-1)
    assert linux.check(3) == 3


def test_exchange_swaps_two_paths(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").mkdir()
    linux.exchange(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (tmp_path / "a").is_dir() and (tmp_path / "b").read_text() == "a"
    with pytest.raises(FileNotFoundError):
        linux.exchange(str(tmp_path / "a"), str(tmp_path / "none"))


def test_watch_of_a_file_is_refused_and_of_a_directory_has_a_number(tmp_path: Path) -> None:
    queue, mask = linux.inotify_init(), linux.IN_CREATE | linux.IN_ONLYDIR
    (tmp_path / "file").touch()
    directory, file = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path / "file", os.O_RDONLY)
    try:
        number = linux.inotify_add_watch(queue, directory, mask)
        assert number > 0
        with pytest.raises(NotADirectoryError):
            linux.inotify_add_watch(queue, file, mask)
        linux.inotify_rm_watch(queue, number)
    finally:
        for fd in (queue, directory, file):
            os.close(fd)


def test_birth_time_stays_while_an_inode_lives(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        before = linux.birth_time(fd)
        (tmp_path / "file").touch()
        assert linux.birth_time(fd) == before
    finally:
        os.close(fd)
