"""Who may write a project root: the kernel says it, of each place that NanoClaw writes."""

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
    """A project root of root's own, which everybody can reach."""
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


def test_root_may_and_who_owns_nothing_there_may_not(root: Path) -> None:
    assert may_write(0, str(root)) and not may_write(A, str(root))


@pytest.mark.parametrize("place", ["store/messages.db", "store", "data/v2.db", "data", "."])
def test_one_place_that_a_user_may_write_is_enough(root: Path, place: str) -> None:
    os.chown(root / place, A, 0)
    assert may_write(A, str(root))


def test_the_groups_of_an_account_count(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(root / "data", 0, TEAM)
    (root / "data").chmod(0o775)
    entry = SimpleNamespace(pw_name="andy", pw_gid=A, pw_dir="/nonexistent")
    monkeypatch.setattr(users, "account_with", lambda _uid: entry)
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid])
    assert not may_write(A, str(root))
    may_write.cache_clear()
    monkeypatch.setattr(os, "getgrouplist", lambda _name, gid: [gid, TEAM])
    assert may_write(A, str(root))


def test_a_root_that_a_user_cannot_reach_is_none_that_it_writes(root: Path) -> None:
    os.chown(root, A, A)
    root.parent.chmod(0o700)
    assert not may_write(A, str(root))


def test_what_cannot_be_known_may_be(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "acting", lambda *_words, **_named: {"error": "ETIMEDOUT", "text": "no end"})
    assert may_write(A, str(root))


def test_a_user_is_a_number_or_a_name_that_nss_knows() -> None:
    assert users.uid_of("4242") == 4242
    assert users.uid_of("root") == 0 == users.uid_of(pwd.getpwuid(0).pw_name)
    assert users.uid_of("no-such-user") is None
    assert users.home_with(0) == pwd.getpwuid(0).pw_dir and users.home_with(None) is None
