"""Who may write a project root, by access(2) on each path that NanoClaw writes."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from files.pods.common import users
from files.pods.common.users import may_write
from tests.unit.trees.trees import A, needs_root

pytestmark = needs_root

TEAM = 4300


@pytest.fixture
def root() -> Iterator[Path]:
    """A project root that root owns and everybody can reach."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "claw"
        for name in ("store", "data"):
            (made / name).mkdir(parents=True)
        for name in ("store/messages.db", "data/v2.db"):
            (made / name).touch()
        for path in (Path(place), *made.rglob("*"), made):
            path.chmod(0o755 if path.is_dir() else 0o644)
        may_write.cache_clear()
        yield made


def test_root_may_write_and_a_user_without_files_may_not(root: Path) -> None:
    assert may_write(0, str(root)) and not may_write(A, str(root))


@pytest.mark.parametrize("place", ["store/messages.db", "store", "data/v2.db", "data", "."])
def test_one_writable_path_is_enough(root: Path, place: str) -> None:
    os.chown(root / place, A, 0)
    assert may_write(A, str(root))


def test_supplementary_groups_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(root / "data", 0, TEAM)
    (root / "data").chmod(0o775)
    entry = SimpleNamespace(pw_name="andy", pw_gid=A, pw_dir="/nonexistent")
    monkeypatch.setattr(users, "passwd_entry", lambda _uid: entry)
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid])
    assert not may_write(A, str(root))
    may_write.cache_clear()
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid, TEAM])
    assert may_write(A, str(root))


def test_unreachable_root_is_not_writable(root: Path) -> None:
    os.chown(root, A, A)
    root.parent.chmod(0o700)
    assert not may_write(A, str(root))


def test_unknown_counts_as_writable(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "run_as", lambda *_args, **_named: {"error": "ETIMEDOUT", "text": "no end"})
    assert may_write(A, str(root))


def test_uid_of_accepts_a_number_or_a_name() -> None:
    assert users.uid_of("4242") == 4242
    assert users.uid_of("root") == 0 == users.uid_of(pwd.getpwuid(0).pw_name)
    assert users.uid_of("no-such-user") is None
    assert users.home_of(0) == pwd.getpwuid(0).pw_dir and users.home_of(None) is None
