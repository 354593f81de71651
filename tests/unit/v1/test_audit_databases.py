"""The audit reads a copy of each database, within limits, and leaves nothing of it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from files.pods.v1.audit import databases
from files.pods.v1.audit.databases import database_of


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a database, and one for copies."""
    for name in ("store", "scratch"):
        (tmp_path / name).mkdir()
    yield tmp_path
    assert list((tmp_path / "scratch").iterdir()) == []


def make(place: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(place / "store/x.db", isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def rows(place: Path, table: str, at_rest: str | None = None) -> list[databases.Row]:
    store = os.open(place / "store", os.O_RDONLY)
    try:
        with database_of(store, "x.db", str(place / "scratch"), at_rest) as tables:
            return tables.rows(table)
    finally:
        os.close(store)


def test_rows_have_their_columns_and_text_of_any_bytes(place: Path) -> None:
    make(place, "CREATE TABLE a (b, c)", "INSERT INTO a VALUES (1, CAST(x'636166e9' AS TEXT)), (NULL, x'ff')")
    assert rows(place, "a") == [{"b": 1, "c": "caf\ufffd"}, {"b": None, "c": b"\xff"}]


def test_endless_view_ends_at_its_deadline(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent may have put it in the place of a table."""
    endless = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT max(a) FROM n"
    make(place, f"CREATE VIEW a AS {endless}")
    monkeypatch.setattr(databases, "QUERY_SECONDS", 0.5)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        rows(place, "a")


@pytest.mark.parametrize(("kind", "number"), [("link", errno.ELOOP), ("pipe", errno.EFBIG), ("large", errno.EFBIG)])
def test_database_that_is_no_small_file_is_not_read(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    monkeypatch.setattr(databases, "MAX_COPY_BYTES", 4096)
    path = place / "store/x.db"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"x" * 4097)
    with pytest.raises(OSError) as refused:
        rows(place, "a")
    assert refused.value.errno == number
    for left in (place / "scratch").iterdir():
        left.unlink()


def test_missing_database_is_missing(place: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rows(place, "a")
    with pytest.raises(FileNotFoundError), database_of(None, "x.db", str(place / "scratch")):
        pass


@pytest.mark.parametrize("at_rest", [False, True])
def test_log_is_applied_to_a_copy(place: Path, at_rest: bool) -> None:
    make(place, "PRAGMA journal_mode = WAL", "CREATE TABLE a (b)", "INSERT INTO a VALUES (1)")
    with contextlib.closing(sqlite3.connect(place / "store/x.db", isolation_level=None)) as service:
        service.execute("INSERT INTO a VALUES (2)")
        (place / "kept").mkdir()
        for end in ("", "-wal"):
            shutil.copyfile(place / f"store/x.db{end}", place / f"kept/x.db{end}")
    shutil.rmtree(place / "store")
    (place / "kept").rename(place / "store")
    before = {path.name: path.read_bytes() for path in (place / "store").iterdir()}
    assert rows(place, "a", str(place / "store/x.db") if at_rest else None) == [{"b": 1}, {"b": 2}]
    assert {path.name: path.read_bytes() for path in (place / "store").iterdir()} == before


def test_database_at_rest_is_read_in_place_whatever_its_size(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(place, "CREATE TABLE a (b)", "INSERT INTO a VALUES (1)")
    monkeypatch.setattr(databases, "MAX_COPY_BYTES", 1)
    assert rows(place, "a", str(place / "store/x.db")) == [{"b": 1}]
    with pytest.raises(OSError, match=r"x\.db is no file, or larger than 0 MiB"):
        rows(place, "a")
    for left in (place / "scratch").iterdir():
        left.unlink()
