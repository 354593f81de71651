"""Directories of the pods, made by root while an agent that owns what lies above changes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from files.pods.nfs import make_directories
from tests.processes import open_files
from tests.unit.trees.trees import needs_root

AGENT = 1234

pytestmark = needs_root


@pytest.fixture
def pods() -> Iterator[Path]:
    """An agent's directory with a directory of root's beside it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, uid in (("pods", AGENT), ("root", 0)):
            path = Path(folder, name)
            path.mkdir(mode=0o755)
            os.chown(path, uid, uid)
        Path(folder, "root/secret").mkdir(mode=0o700)
        yield Path(folder, "pods")


def before(monkeypatch: pytest.MonkeyPatch, call: str, attack: Callable[[], None]) -> None:
    """Have an attack come once, right before a system call."""
    real, due = getattr(os, call), [attack]

    def attacked(*args: object, **more: object) -> object:
        if due:
            due.pop()()
        return real(*args, **more)

    monkeypatch.setattr(os, call, attacked)


def owners(*paths: Path) -> list[int]:
    return [place.lstat().st_uid for place in paths]


@pytest.mark.parametrize("call", ["open", "chmod", "fchmod", "chown", "fchown", "listdir", "rename"])
def test_a_directory_that_is_swapped_for_a_link_chowns_nothing_of_roots(
    pods: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The agent moves the new directory away and puts a link to root's in its place."""
    secret, new = pods.parent / "root/secret", pods / ".groups.new"

    def swap() -> None:
        if new.is_dir():
            new.rename(pods / "away")
            new.symlink_to(secret)

    real_mkdir = os.mkdir

    def mkdir(*args: object, **more: object) -> None:
        real_mkdir(*args, **more)  # type: ignore[arg-type]
        before(monkeypatch, call, swap)

    monkeypatch.setattr(os, "mkdir", mkdir)
    try:
        make_directories.make(f"{pods}/groups", (AGENT, AGENT), None)
    except SystemExit as refused:
        assert "something else changes" in str(refused)
    assert owners(secret) == [0] and secret.stat().st_mode & 0o777 == 0o700


def test_a_component_that_is_swapped_for_a_link_leads_nowhere(pods: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory above is one that the agent can rename."""
    parent, victim = pods / "one", pods.parent / "root"
    parent.mkdir()

    def swap() -> None:
        parent.rename(pods / "away")
        parent.symlink_to(victim)

    before(monkeypatch, "mkdir", swap)
    make_directories.make(f"{parent}/groups", (AGENT, AGENT), None)
    assert [path.name for path in victim.iterdir()] == ["secret"]
    assert owners(pods / "away/groups") == [AGENT]


def test_a_link_on_the_way_is_refused(pods: Path) -> None:
    (pods / "one").symlink_to(pods.parent / "root")
    with pytest.raises(SystemExit, match="without following a link"):
        make_directories.make(f"{pods}/one/groups", (AGENT, AGENT), None)
    assert [path.name for path in (pods.parent / "root").iterdir()] == ["secret"]


def test_a_directory_of_another_is_not_chowned(pods: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent renames somebody's directory, with what is in it, to where the new one was."""
    others, new = pods / "others", pods / ".groups.new"
    (others / "mail").mkdir(parents=True)
    for path in (others, others / "mail"):
        os.chown(path, 4321, 4321)
    real_mkdir = os.mkdir

    def mkdir(*args: object, **more: object) -> None:
        real_mkdir(*args, **more)  # type: ignore[arg-type]
        new.rmdir()
        others.rename(new)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(SystemExit, match="something else changes"):
        make_directories.make(f"{pods}/groups", (AGENT, AGENT), None)
    assert owners(new, new / "mail") == [4321, 4321]


def test_what_is_put_at_the_leftover_of_an_earlier_run_is_not_entered(pods: Path) -> None:
    (pods / ".groups.new").symlink_to(pods.parent / "root/secret")
    with pytest.raises(SystemExit, match="something else changes"):
        make_directories.make(f"{pods}/groups", (AGENT, AGENT), None)
    assert owners(pods.parent / "root/secret") == [0]


@pytest.mark.parametrize("owner", [(AGENT, AGENT), (4321, 4321)])
def test_directory_that_its_creator_does_not_own_afterwards_is_removed(pods: Path, owner: tuple[int, int]) -> None:
    """As on a server that squashes the creator to somebody else. The program is root again in any case."""
    parent, groups = os.open(pods, os.O_RDONLY), os.getgroups()
    before = len(open_files())
    fd = make_directories.created_by((AGENT, AGENT), parent, "new", owner)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, groups)
    if owner == (AGENT, AGENT):
        assert fd is not None and os.path.samestat(os.fstat(fd), (pods / "new").stat())
        assert owners(pods / "new") == [AGENT] and (pods / "new").stat().st_mode & 0o777 == 0o755
        os.close(fd)
    else:
        assert fd is None and list(pods.iterdir()) == []
    assert len(open_files()) == before
    assert make_directories.created_by((4321, 4321), parent, "other", (4321, 4321)) is None, "it may not write there"
    os.close(parent)
