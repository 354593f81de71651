"""The archive of an earlier attempt takes v2's files, and no others."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.dotenv import V1_HEADING
from files.pods.transition import archive_attempt as migration_aside
from files.pods.transition.protocol import ArchiveRequest
from tests.programs import request_argv
from tests.unit.trees.trees import A, needs_root

ENV = f"A=1\n\n{V1_HEADING}\nTOKEN=of-v1\nSET=by-role\nADDED=later\n"


class V2:
    """The project root of a v2 that was switched to before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("v2/data/v2-sessions/ag-1", "v2/groups/main", "snapshot"):
            (folder / name).mkdir(parents=True)
        (folder / "v2/data/v2.db").write_text("")
        self.trees = {"v2-sessions": folder / "v2/data/v2-sessions", "groups": folder / "v2/groups"}
        (folder / "v2/.env").write_text(ENV)
        (folder / "snapshot/.env").write_text("TOKEN=of-v1\nSET=v1s\n")

    def aside(self, uid: int | None = None, **journal: Any) -> list[str]:
        (self.folder / "journal.json").write_text(json.dumps({"attempt": 2, "aside": True, **journal}))
        root, me = self.folder / "v2", pwd.getpwuid(os.getuid())
        request = ArchiveRequest(
            user=me.pw_name,
            uid=me.pw_uid if uid is None else uid,
            gid=me.pw_gid if uid is None else uid,
            root=str(root),
            journal=str(self.folder / "journal.json"),
            trees={name: str(tree) for name, tree in self.trees.items()},
            snapshot=str(self.folder / "snapshot"),
            env_set=["SET"],
        )
        argv = request_argv(request)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        moved: list[str] = json.loads(done.stdout)["moved"]
        return [os.path.relpath(path, root) for path in moved]


@pytest.fixture
def v2(tmp_path: Path) -> V2:
    return V2(tmp_path)


def test_second_attempt_archives_v2_and_keeps_entries_of_others_in_env(v2: V2) -> None:
    aside = "nanoclaw-pods-aside-1"
    moved = {f"data/{aside}/v2-sessions", f"{aside}/groups", f"data/{aside}"}
    assert set(v2.aside()) == moved
    assert (v2.folder / "v2/.env").read_text() == "A=1\nSET=by-role\nADDED=later\n"
    kept = v2.folder / f"v2/data/{aside}/.env"
    assert kept.read_text() == ENV and kept.stat().st_mode & 0o777 == 0o600
    assert (v2.folder / "v2/.env").stat().st_mode & 0o777 == 0o600
    assert v2.aside() == []


def test_log_of_the_database_is_archived_with_it(v2: V2) -> None:
    """The next v2 would apply the log of the old database to its own."""
    data, files = v2.folder / "v2/data", ("v2.db", "v2.db-wal", "v2.db-shm")
    for name in files:
        (data / name).write_text(name)
    v2.aside()
    archived = data / "nanoclaw-pods-aside-1"
    assert {name: (archived / name).read_text() for name in files} == {name: name for name in files}
    assert not [name for name in files if (data / name).exists()]


def test_env_that_is_no_utf_8_stays_as_it_is_byte_for_byte(v2: V2) -> None:
    text = f"A=caf\udce9\n\n{V1_HEADING}\nTOKEN=of-v1\nADDED=\udcff\n".encode(errors="surrogateescape")
    (v2.folder / "v2/.env").write_bytes(text)
    v2.aside()
    assert (v2.folder / "v2/data/nanoclaw-pods-aside-1/.env").read_bytes() == text
    assert (v2.folder / "v2/.env").read_bytes() == b"A=caf\xe9\nADDED=\xff\n"


def test_each_attempt_has_an_archive_of_its_own(v2: V2) -> None:
    v2.aside()
    (v2.folder / "v2/data/v2.db").write_text("second")
    assert v2.aside() == ["data/nanoclaw-pods-aside-2"]
    assert (v2.folder / "v2/data/nanoclaw-pods-aside-1/v2.db").read_text() == ""
    assert (v2.folder / "v2/data/nanoclaw-pods-aside-2/v2.db").read_text() == "second"


def test_first_attempt_archives_nothing(v2: V2) -> None:
    assert v2.aside(attempt=1) == []
    assert (v2.folder / "v2/.env").read_text() == ENV and (v2.folder / "v2/data/v2.db").exists()


def test_resume_keeps_staging_but_drops_entries_of_v1_from_env(v2: V2) -> None:
    assert v2.aside(aside=False) == []
    assert (v2.folder / "v2/data/v2.db").exists() and (v2.folder / "v2/groups/main").exists()
    assert (v2.folder / "v2/.env").read_text() == "A=1\nSET=by-role\nADDED=later\n"


@needs_root
@pytest.mark.usefixtures("no_umask")
def test_archive_works_below_local_directories_of_root(v2: V2) -> None:
    for place in (v2.folder, *v2.folder.parents):  # another user has to get here
        place.chmod(place.stat().st_mode | 0o011)
    pods = v2.folder / "pods"
    pods.mkdir()
    v2.trees = {name: tree.rename(pods / name) for name, tree in v2.trees.items()}
    subprocess.run(["chown", "-hR", f"{A}:{A}", str(v2.folder / "v2"), *map(str, v2.trees.values())], check=True)
    v2.aside(uid=A)
    assert not (v2.folder / "v2/data/v2.db").exists() and not (pods / "groups/main").exists()
    assert (pods / "nanoclaw-pods-aside-1/groups/main").stat().st_uid == A
    assert (pods / "nanoclaw-pods-aside-1").stat().st_mode & 0o777 == 0o755


@needs_root
def test_link_that_replaces_the_new_archive_is_not_chowned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, victim = tmp_path / "data", tmp_path / "victim"
    parent.mkdir()
    victim.mkdir()
    really = os.mkdir

    def swapped(path: str, *more: int, dir_fd: int | None = None) -> None:
        really(path, *more, dir_fd=dir_fd)
        os.rmdir(path, dir_fd=dir_fd)
        os.symlink(victim, path, dir_fd=dir_fd)

    monkeypatch.setattr("os.mkdir", swapped)
    with pytest.raises(OSError):
        migration_aside.create_archives({str(parent): f"{parent}/aside"}, A, A)
    assert victim.stat().st_uid == 0


@needs_root
def test_directory_that_replaces_the_new_archive_is_not_chowned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, victim = tmp_path / "data", tmp_path / "victim"
    parent.mkdir()
    (victim / "of-root").mkdir(parents=True)
    really = os.mkdir

    def swapped(path: str, *more: int, dir_fd: int | None = None) -> None:
        really(path, *more, dir_fd=dir_fd)
        os.rmdir(path, dir_fd=dir_fd)
        os.rename(victim, path, dst_dir_fd=dir_fd)

    monkeypatch.setattr("os.mkdir", swapped)
    with pytest.raises(SystemExit, match="was replaced while it was created"):
        migration_aside.create_archives({str(parent): f"{parent}/aside"}, A, A)
    assert (parent / "aside").stat().st_uid == 0


@pytest.mark.parametrize("kind", ["link", "pipe", "large"])
def test_env_that_is_no_small_file_is_not_rewritten(v2: V2, kind: str) -> None:
    place = v2.folder / "v2/.env"
    place.unlink()
    if kind == "link":
        place.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.write_bytes(b"A=1\n" * (1 << 20))
    with pytest.raises(subprocess.CalledProcessError):
        v2.aside()
    assert (v2.folder / "v2/data/v2.db").exists()
