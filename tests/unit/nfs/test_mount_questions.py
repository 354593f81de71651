"""What systemd, NSS, findmnt and the kernel report of mounts, in a bounded time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from files.pods.nfs import mounts
from files.pods.nfs.mount_state import Unit


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs that come first in PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_command_gets_no_input_and_its_errors_are_not_its_answer() -> None:
    readable, writable = os.pipe()
    os.write(writable, b"of the request\n")
    before = os.dup(0)
    os.dup2(readable, 0)
    os.close(writable)
    try:
        assert mounts.bounded(["sh", "-c", "echo one; echo two >&2; cat"], 20) == "one\n"
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(readable)


def test_a_command_without_end_is_waited_for_no_longer() -> None:
    start = time.monotonic()
    assert mounts.bounded(["sleep", "60"], 0.2) is None
    assert time.monotonic() - start < 20


def test_each_path_answers_for_itself(tmp_path: Path) -> None:
    here, gone, looped = str(tmp_path), str(tmp_path / "gone"), tmp_path / "loop"
    looped.symlink_to(looped)
    info = tmp_path.stat()
    replies = mounts.ask([here, gone, str(looped)])
    assert replies[here] == {"answer": "ok", "identity": f"{info.st_dev}:{info.st_ino}"}
    assert replies[gone] == {"answer": "absent", "detail": "No such file or directory"}
    assert replies[str(looped)]["answer"] == "error"
    assert mounts.ask([]) == {}


def test_paths_that_nobody_answers_for_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "bounded", lambda _argv, _seconds: None)
    assert mounts.ask(["/pods", "/b"]) == {"/pods": {"answer": "silent"}, "/b": {"answer": "silent"}}


def test_units_are_what_systemd_says_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = "show --property Id,ActiveState,UnitFileState,NeedDaemonReload -- a.mount b.mount c.mount"
    request = f'test "$*" = "{args}" || exit 1'
    up = "Id=a.mount\\nActiveState=active\\nUnitFileState=enabled\\nNeedDaemonReload=no\\n"
    down = "Id=b.mount\\nActiveState=inactive\\nUnitFileState=disabled\\nNeedDaemonReload=yes\\n"
    program(folder, "systemctl", f"{request}; printf '{up}\\n{down}'")
    texts = {"/etc/systemd/system/a.mount": "[Mount]\n"}
    monkeypatch.setattr(mounts, "read_text_or_none", texts.get)
    assert mounts.units({"/a": "a.mount", "/b": "b.mount", "/c": "c.mount"}) == {
        "/a": Unit("[Mount]\n", "active", True, False),
        "/b": Unit(None, "inactive", False, True),
        "/c": Unit(None, "unknown", False, False),
    }


@pytest.mark.parametrize(
    ("source", "addresses"),
    [
        ("10.0.0.1:/srv", ["10.0.0.1"]),
        ("[fd00::1]:/srv", ["fd00::1"]),
        ("xen.box:/srv", ["10.0.0.7", "10.0.0.8"]),
        ("gone.lan:/srv", []),
        ("/dev/vda1", []),
    ],
)
def test_the_addresses_of_a_source_are_those_that_nss_knows(source: str, addresses: list[str], folder: Path) -> None:
    lines = "10.0.0.8 STREAM xen\\n10.0.0.8 DGRAM\\n10.0.0.7 STREAM\\n"
    program(folder, "getent", f'test "$*" = "ahosts xen.box" || exit 2; printf "{lines}"')
    assert mounts.addresses(source) == addresses


def test_findmnt_reads_fstab_entries_of_a_mount_point(folder: Path) -> None:
    request = 'test "$*" = "--fstab --list --json --output SOURCE,TARGET,FSTYPE,OPTIONS" || exit 1'
    entries = (
        '{"source":"n:/a","target":"/pods/","fstype":"nfs","options":null},'
        '{"source":"n:/b","target":"/other","fstype":"nfs","options":"ro"}'
    )
    program(folder, "findmnt", f"{request}; echo '{{\"filesystems\": [{entries}]}}'")
    (entry,) = mounts.fstab(["/pods"])
    assert "n:/a" in str(entry) and "/other" not in str(entry)
    program(folder, "findmnt", "exit 1")
    assert mounts.fstab(["/pods"]) == []


def test_an_fstab_that_nobody_answers_for_is_no_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "bounded", lambda _argv, _seconds: None)
    with pytest.raises(TimeoutError, match="findmnt"):
        mounts.fstab(["/pods"])
