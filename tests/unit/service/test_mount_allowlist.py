"""NanoClaw's list of directories that agents may mount, when the host user changes."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from files.pods.service.mount_allowlist import copy_allowlist

OLD, NEW = 4242, 4243
LIST = ".config/nanoclaw/mount-allowlist.json"
"""Where NanoClaw reads it (its src/config.ts)."""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="acts as other users")


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """The homes of the old and the new host user."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        users = {}
        for uid in (OLD, NEW):
            home = Path(folder) / str(uid)
            home.mkdir()
            os.chown(home, uid, uid)
            users[uid] = pwd.struct_passwd((str(uid), "x", uid, uid, "", str(home), "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwuid", users.__getitem__)
        monkeypatch.setattr(pwd, "getpwnam", lambda name: users[int(name)])
        yield Path(folder) / str(OLD), Path(folder) / str(NEW)


def write(home: Path, text: str, uid: int) -> None:
    path = home / LIST
    path.parent.mkdir(parents=True)
    path.write_text(text)
    for each in (path, path.parent, path.parent.parent):
        os.chown(each, uid, uid)


def test_new_host_user_gets_the_list(homes: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    old, new = homes
    write(old, "[]", OLD)
    copy_allowlist(OLD, str(NEW), NEW, NEW)
    info = (new / LIST).stat()
    assert ((new / LIST).read_text(), info.st_uid, info.st_mode & 0o777) == ("[]", NEW, 0o600)
    assert (new / LIST).parent.stat().st_mode & 0o777 == 0o700
    assert capfd.readouterr().out == f"{new / LIST} was copied from {old / LIST}\n"
    copy_allowlist(OLD, str(NEW), NEW, NEW)
    assert capfd.readouterr().out == "", "it is the same"


def test_own_list_is_left_alone(homes: tuple[Path, Path], capfd: pytest.CaptureFixture[str]) -> None:
    old, new = homes
    write(old, "[1]", OLD)
    write(new, "[2]", NEW)
    copy_allowlist(OLD, str(NEW), NEW, NEW)
    assert (new / LIST).read_text() == "[2]"
    assert f"{new / LIST} exists already and differs from {old / LIST}" in capfd.readouterr().out


def test_link_to_an_unreadable_file_copies_nothing(homes: tuple[Path, Path]) -> None:
    old, new = homes
    (old / LIST).parent.mkdir(parents=True)
    (old / LIST).symlink_to("/etc/shadow")
    copy_allowlist(OLD, str(NEW), NEW, NEW)
    assert not (new / LIST).exists()


def test_link_of_the_new_user_is_not_written_through(homes: tuple[Path, Path]) -> None:
    old, new = homes
    write(old, "[]", OLD)
    (new / ".config").symlink_to(old / ".config")
    copy_allowlist(OLD, str(NEW), NEW, NEW)
    assert list((old / LIST).parent.iterdir()) == [old / LIST]


def test_missing_list_or_account_is_no_error(homes: tuple[Path, Path]) -> None:
    copy_allowlist(OLD, str(NEW), NEW, NEW)
    copy_allowlist(4244, str(NEW), NEW, NEW)
    assert not (homes[1] / ".config").exists()
