"""Limits on what root reads of others: bytes, memory, time and kind of file."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from files.pods.common import run_as_ids as acting_program
from files.pods.common.read_text import read_text_or_none
from files.pods.common.read_untrusted import MAX_BYTES, read_untrusted_bytes, read_untrusted_text
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.service.last_start import digest
from files.pods.v1.extract import LARGEST_FILE, MOST_ENTRIES, MOST_LEVELS, Quota, copy_entry
from files.pods.v1.queries import UnreadError
from files.pods.v1.snapshot_dir import enter_read_only
from tests.bench.hostile_inputs import blow_up
from tests.lab.v1_tree import make_tree
from tests.programs import program_argv
from tests.unit.trees.swapper import swapping
from tests.unit.trees.trees import needs_root

Plant = Callable[[Path], None]


def run(name: str, request: dict[str, Any], feed: str = "") -> subprocess.CompletedProcess[str]:
    argv = program_argv(name, request)
    return subprocess.run(argv, input=feed, capture_output=True, text=True, timeout=60, check=False)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("plant", "number"),
    [(pipe, errno.EINVAL), (link, errno.ELOOP), (sparse, errno.EFBIG), (Path.mkdir, errno.EINVAL)],
)
def test_only_a_regular_file_of_bounded_size_is_read(
    tmp_path: Path, plant: Callable[[Path], None], number: int
) -> None:
    plant(tmp_path / "it")
    with pytest.raises(OSError) as raised:
        read_untrusted_bytes(str(tmp_path / "it"))
    assert raised.value.errno == number
    assert read_untrusted_text(str(tmp_path / "it")) is None
    assert plant is link or read_text_or_none(str(tmp_path / "it")) is None


def test_device_behind_a_symlink_is_not_read(tmp_path: Path) -> None:
    link(tmp_path / "it")
    assert (
        read_untrusted_text(str(tmp_path / "it"), follow=True) is None
        and read_text_or_none(str(tmp_path / "it")) is None
    )
    (tmp_path / "other").write_text("text")
    (tmp_path / "name").symlink_to("other")
    assert (
        read_untrusted_text(str(tmp_path / "name"), follow=True) == "text" == read_text_or_none(str(tmp_path / "name"))
    )


@needs_root
@pytest.mark.parametrize("plant", [pipe, link, sparse, Path.mkdir])
def test_endless_or_special_service_input_has_no_digest(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    """The host user may replace .env by anything, and root reads it in each run."""
    plant(tmp_path / "it")
    reply = run_as(ROOT, 10, lambda: digest(str(tmp_path / "it")), MAX_MEMORY)
    assert reply == {"value": None}


def test_device_behind_a_symlink_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link(tmp_path / "it")
    opened: list[int] = []
    really = os.open

    def noted(path: Any, flags: int, *more: Any, **named: Any) -> int:
        opened.append(flags & os.O_PATH)
        return really(path, flags, *more, **named)

    monkeypatch.setattr("os.open", noted)
    assert read_untrusted_text(str(tmp_path / "it"), follow=True) is None
    assert opened == [os.O_PATH]


def test_file_up_to_the_size_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"x" * MAX_BYTES)
    assert len(read_untrusted_bytes(str(tmp_path / "it"))) == MAX_BYTES
    (tmp_path / "it").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(OSError, match="larger than"):
        read_untrusted_bytes(str(tmp_path / "it"))


def test_size_limit_holds_for_files_of_unknown_size() -> None:
    """Those of proc(5) say 0."""
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_untrusted_bytes("/proc/self/status", max_bytes=10)


def test_run_as_limits_memory() -> None:
    if os.geteuid() == 0:
        reply = run_as(ROOT, 20, lambda: len(bytearray(MAX_MEMORY)), MAX_MEMORY)
        assert reply == {"error": "ENOMEM", "text": f"it takes more than {MAX_MEMORY >> 20} MiB of memory"}
        assert run_as(ROOT, 20, lambda: len(bytearray(1 << 20)), MAX_MEMORY) == {"value": 1 << 20}


@needs_root
def test_run_as_limits_its_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting_program, "MAX_REPLY", 1 << 20)
    assert run_as(ROOT, 20, lambda: "x" * (2 << 20))["error"] == "EFBIG"
    assert len(run_as(ROOT, 20, lambda: "x" * (1 << 19))["value"]) == 1 << 19


@needs_root
@pytest.mark.parametrize("plant", [pipe, link, sparse, Path.mkdir])
def test_special_file_as_env_file_is_refused(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    plant(tmp_path / ".env")
    request = {"root": str(tmp_path), "names": ["A"], "places": [str(tmp_path / ".env")]}
    done = run("service.env_state", request, "00" * 32)
    assert (done.returncode != 0) == (plant is sparse)
    if plant is sparse:
        assert "make it a file of at most 1 MiB" in done.stderr
    else:
        assert json.loads(done.stdout)["digests"] == {}
    assert run("service.set_env", {"root": str(tmp_path), "owner": [0, 0]}, '{"A": "secret"}').returncode != 0


@needs_root
def test_pipe_swapped_with_the_env_file_blocks_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\n")
    pipe(tmp_path / "away")
    request = {"root": str(tmp_path), "names": ["A"], "places": []}
    with swapping(tmp_path, None, ".env"):
        for _ in range(5):
            done = run("service.env_state", request, "00" * 32)
            assert done.returncode == 0 or "cannot be read" in done.stderr


@needs_root
def test_inspection_of_v1_sees_nothing_else_of_the_machine(tmp_path: Path) -> None:
    make_tree(tmp_path / "claw")
    (tmp_path / "claw/groups/out").symlink_to("/etc")
    (tmp_path / "claw/groups/up").symlink_to("../../../../../../etc")
    (tmp_path / "claw/groups/proc").symlink_to("/proc/self/root/etc")

    def visible() -> list[Any]:
        root, scratch = enter_read_only(str(tmp_path / "claw"))
        ways = [f"{root}/groups/{name}/passwd" for name in ("out", "up", "proc")]
        return [sorted(map(str, Path("/").iterdir())), [way for way in ways if Path(way).exists()], scratch]

    assert run_as(ROOT, 20, visible) == {"value": [["/proc", "/scratch", "/tmp", "/v1"], [], "/scratch"]}


def database(path: Path) -> sqlite3.Connection:
    path.unlink()
    return sqlite3.connect(path, isolation_level=None)


def computed(path: Path) -> None:
    """A view without end in the place of a table."""
    with database(path) as made:
        made.execute("CREATE TABLE registered_groups (jid, folder, container_config, is_main)")
        made.execute(
            "CREATE VIEW chats AS WITH RECURSIVE c(jid, is_group) AS "
            "(SELECT hex(zeroblob(9000)), 1 UNION ALL SELECT jid, is_group FROM c) SELECT * FROM c"
        )
    made.close()


def huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 43)


@needs_root
def test_rows_expanded_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    make_tree(tmp_path / "claw")
    blow_up(tmp_path / "claw/store/messages.db")
    assert (tmp_path / "claw/store/messages.db").stat().st_size < 1 << 20
    me = {"user": "root", "uid": 0, "gid": 0}
    done = run("v1.extract", {"v1": str(tmp_path / "claw"), "to": str(tmp_path / "view"), **me})
    assert done.returncode != 0 and "holds more than 64 MiB" in done.stderr
    assert not (tmp_path / "view").exists()
    request = {"dir": str(tmp_path / "claw"), "root": "/opt/v2", "uid": 0, "space": [], "seconds": 60}
    content = json.loads(run("v1.inspect", request).stdout)["install"]["database"]
    assert content["state"] == "unread" and "holds more than 64 MiB" in content["text"]


if hasattr(sqlite3.Connection, "setlimit"):  # older Pythons bound memory alone

    @needs_root
    def test_too_long_value_is_not_fetched(tmp_path: Path) -> None:
        """The database is undamaged, but too large to inspect."""
        make_tree(tmp_path / "claw")
        with sqlite3.connect(tmp_path / "claw/store/messages.db") as made:
            made.execute("UPDATE registered_groups SET container_config = zeroblob(?)", ((64 << 20) + 1,))
        made.close()
        request = {"dir": str(tmp_path / "claw"), "root": "/opt/v2", "uid": 0, "space": [], "seconds": 60}
        content = json.loads(run("v1.inspect", request).stdout)["install"]["database"]
        assert (content["state"], content["text"]) == ("unread", "string or blob too big")
        me = {"user": "root", "uid": 0, "gid": 0}
        done = run("v1.extract", {"v1": str(tmp_path / "claw"), "to": str(tmp_path / "view"), **me})
        assert done.returncode != 0 and "string or blob too big" in done.stderr and "Traceback" not in done.stderr


@needs_root
def test_view_in_place_of_a_table_is_not_evaluated(tmp_path: Path) -> None:
    make_tree(tmp_path / "claw")
    computed(tmp_path / "claw/store/messages.db")
    request = {"dir": str(tmp_path / "claw"), "root": "/opt/v2", "uid": 0, "space": [], "seconds": 60}
    content = json.loads(run("v1.inspect", request).stdout)["install"]["database"]
    assert content["state"] == "read" and content["groups"] == []


@needs_root
def test_database_larger_than_the_free_disk_is_not_backed_up(tmp_path: Path) -> None:
    make_tree(tmp_path / "claw")
    huge(tmp_path / "claw/store/messages.db")
    done = run("v1.backup", {"v1": str(tmp_path / "claw"), "to": str(tmp_path / "backup")})
    assert done.returncode != 0 and "MiB are free" in done.stderr
    assert list((tmp_path / "backup").iterdir()) == [] and not (tmp_path / "backup.new").exists()


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def copied(path: Path, room: Quota) -> Path:
    directory = os.open(path, os.O_RDONLY)
    try:
        copy_entry(directory, "from", str(path / "to"), room, deep=True)
    finally:
        os.close(directory)
    return path / "to"


def test_credentials_are_copied_without_symlinks_and_pipes(place: Path) -> None:
    (place / "from/deep").mkdir(parents=True)
    (place / "from/deep/key").write_text("key")
    link(place / "from/link")
    pipe(place / "from/pipe")
    to = copied(place, Quota())
    assert [path.relative_to(to).as_posix() for path in sorted(to.rglob("*"))] == ["deep", "deep/key"]


@pytest.mark.parametrize("kind", ["deep", "many", "long", "much"])
def test_oversized_credentials_are_refused(place: Path, kind: str) -> None:
    (place / "from").mkdir()
    room = Quota()
    if kind == "deep":
        (place / "from" / "/".join("d" * (MOST_LEVELS + 2))).mkdir(parents=True)
    elif kind == "many":
        assert room.entries == MOST_ENTRIES
        room.entries = 3
        for number in range(4):
            (place / f"from/{number}").write_text("")
    elif kind == "long":
        with (place / "from/file").open("wb") as file:
            file.truncate(LARGEST_FILE + 1)
    else:
        room.bytes = 1000
        for number in range(4):
            (place / f"from/{number}").write_bytes(b"x" * 300)
    with pytest.raises(UnreadError, match=r"too deep|more than|too large"):
        copied(place, room)
