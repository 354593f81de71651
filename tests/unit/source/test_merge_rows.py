"""The central database goes back to its copy, and the rows that were written since come along."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from files.pods.source.central_database import make_copy
from files.pods.source.merge_rows import put_back

OLD = """
PRAGMA journal_mode = WAL;
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE messaging_groups (id TEXT PRIMARY KEY, platform_id TEXT NOT NULL);
CREATE TABLE sessions (id TEXT PRIMARY KEY, messaging_group_id TEXT REFERENCES messaging_groups(id), at TEXT);
INSERT INTO schema_version VALUES (1, '001-initial');
INSERT INTO messaging_groups VALUES ('mg-1', 'tg:1');
INSERT INTO sessions VALUES ('s-1', 'mg-1', 'before');
"""
NEWER = """
PRAGMA foreign_keys = OFF;
CREATE TABLE next (id TEXT PRIMARY KEY, platform_id TEXT NOT NULL, instance TEXT NOT NULL);
INSERT INTO next SELECT id, platform_id, 'main' FROM messaging_groups;
DROP TABLE messaging_groups;
ALTER TABLE next RENAME TO messaging_groups;
CREATE TABLE policies (id TEXT PRIMARY KEY);
INSERT INTO schema_version VALUES (16, '016-instance');
"""
COMMIT = "0123456789abcdef"
COPY = "0123456789ab-1.db"


def run(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project root with a copy of its database, as a switch makes it."""
    (tmp_path / "data").mkdir()
    (tmp_path / ".git").mkdir()
    run(tmp_path / "data/v2.db", OLD)
    assert make_copy(str(tmp_path), COMMIT, "2.0.64", COPY[:-3])
    return tmp_path


def test_rows_of_the_newer_database_come_along(root: Path) -> None:
    path = root / "data/v2.db"
    run(path, NEWER)
    run(path, "INSERT INTO messaging_groups VALUES ('mg-2', 'tg:2', 'main')")
    run(path, "INSERT INTO sessions VALUES ('s-2', 'mg-2', 'since'); UPDATE sessions SET at = 'x' WHERE id = 's-1'")
    outcome = put_back(str(root), COPY)
    assert outcome == "the database is its copy of 2.0.64 again; 2 rows written since were added"
    assert rows(path, "messaging_groups") == [("mg-1", "tg:1"), ("mg-2", "tg:2")]
    assert rows(path, "sessions") == [("s-1", "mg-1", "before"), ("s-2", "mg-2", "since")]
    run(path, "INSERT INTO messaging_groups VALUES ('mg-3', 'tg:3')")  # as old code does for a new chat
    assert list((root / ".git/nanoclaw-pods-database").glob("replaced-*.db"))


def test_row_that_refers_to_nothing_does_not_come_along(root: Path) -> None:
    run(root / "data/v2.db", NEWER)
    run(root / "data/v2.db", "PRAGMA foreign_keys = OFF; INSERT INTO sessions VALUES ('s-9', 'mg-9', 'since')")
    assert put_back(str(root), COPY).endswith("; 0 rows written since were added")
    assert [row[0] for row in rows(root / "data/v2.db", "sessions")] == ["s-1"]


def test_row_that_the_older_schema_refuses_does_not_come_along(root: Path) -> None:
    run(root / "data/v2.db", NEWER)
    run(
        root / "data/v2.db",
        "ALTER TABLE messaging_groups RENAME TO was; CREATE TABLE messaging_groups (id TEXT PRIMARY KEY);"
        "INSERT INTO messaging_groups VALUES ('mg-4')",
    )
    assert put_back(str(root), COPY).endswith("; 0 rows written since were added")
    assert rows(root / "data/v2.db", "messaging_groups") == [("mg-1", "tg:1")]


def test_database_without_a_new_migration_stays(root: Path) -> None:
    run(root / "data/v2.db", "UPDATE sessions SET at = 'since'")
    assert put_back(str(root), COPY) == "no migration was applied to the database, so it stays"
    assert rows(root / "data/v2.db", "sessions") == [("s-1", "mg-1", "since")]


def test_log_of_the_newer_database_is_not_applied_to_the_copy(root: Path) -> None:
    """A killed service leaves its log; SQLite would apply it to the file that takes the database's place."""
    path = root / "data/v2.db"
    run(path, NEWER)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO messaging_groups VALUES ('mg-5', 'tg:5', 'main')")
        connection.commit()
        saved = {end: (root / f"data/v2.db{end}").read_bytes() for end in ("", "-wal")}
    assert saved["-wal"]
    for end, content in saved.items():
        (root / f"data/v2.db{end}").write_bytes(content)
    put_back(str(root), COPY)
    assert not (root / "data/v2.db-wal").exists()
    assert [row[0] for row in rows(path, "messaging_groups")] == ["mg-1", "mg-5"]


def test_name_of_the_database_is_on_the_disk_with_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut would bring the newer database back, and its log is gone."""
    run(root / "data/v2.db", NEWER)
    events: list[str] = []
    fsync, rename = os.fsync, os.rename

    def record_fsync(fd: int) -> None:
        events.append(f"fsync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        fsync(fd)

    def record_rename(old: str, new: str) -> None:
        events.append(f"rename {Path(old).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "rename", record_rename)
    put_back(str(root), COPY)
    assert events[-3:] == ["fsync v2.db.new", "rename v2.db.new", "fsync data"]


def test_database_that_cannot_be_read_is_replaced(root: Path) -> None:
    (root / "data/v2.db").write_bytes(b"no database" * 1000)
    assert put_back(str(root), COPY) == "the database is its copy of 2.0.64 again; its rows could not be read"
    assert rows(root / "data/v2.db", "sessions") == [("s-1", "mg-1", "before")]


def test_missing_database_comes_back(root: Path) -> None:
    (root / "data/v2.db").unlink()
    put_back(str(root), COPY)
    assert rows(root / "data/v2.db", "sessions") == [("s-1", "mg-1", "before")]


def test_without_a_copy_the_database_stays(root: Path) -> None:
    run(root / "data/v2.db", NEWER)
    before = (root / "data/v2.db").read_bytes()
    for name in (f"{'f' * 12}-1.db", None):
        assert put_back(str(root), name) == "there is no copy of the database, so it stays"
    assert (root / "data/v2.db").read_bytes() == before


@pytest.mark.parametrize(
    ("table", "rows_after"),
    [
        ("CREATE TABLE log (id TEXT, at TEXT)", [("a", "1")]),
        ("CREATE TABLE log (id TEXT UNIQUE, at TEXT)", [("a", "1")]),
        ("CREATE TABLE log (id TEXT NOT NULL UNIQUE, at TEXT)", [("a", "1"), ("b", "2")]),
        ("CREATE TABLE log (id TEXT, at TEXT, PRIMARY KEY (id, at)) WITHOUT ROWID", [("a", "1"), ("b", "2")]),
    ],
)
def test_only_rows_with_a_key_come_along(tmp_path: Path, table: str, rows_after: list[tuple[str, str]]) -> None:
    """Without one the rows of the copy would be there twice."""
    path = tmp_path / "data/v2.db"
    for name in ("data", ".git"):
        (tmp_path / name).mkdir()
    run(path, f"{OLD} {table}; INSERT INTO log VALUES ('a', '1');")
    assert make_copy(str(tmp_path), COMMIT, "2.0.64", COPY[:-3])
    run(path, f"{NEWER} INSERT INTO log VALUES ('b', '2');")
    put_back(str(tmp_path), COPY)
    assert rows(path, "log") == rows_after


def test_column_that_the_newer_table_lacks_is_no_key(root: Path) -> None:
    run(root / "data/v2.db", NEWER)
    run(
        root / "data/v2.db",
        "ALTER TABLE messaging_groups RENAME COLUMN id TO other; INSERT INTO messaging_groups VALUES ('x', 'tg:9', '')",
    )
    assert put_back(str(root), COPY).endswith("; 0 rows written since were added")
    assert rows(root / "data/v2.db", "messaging_groups") == [("mg-1", "tg:1")]


def test_replaced_databases_push_out_no_copy_before_a_switch(root: Path) -> None:
    folder = root / ".git/nanoclaw-pods-database"
    for number in range(7):
        make_copy(str(root), "", "replaced", f"replaced-{number}")
    assert (folder / COPY).exists()
    assert sorted(path.name for path in folder.glob("replaced-*.db")) == [f"replaced-{n}.db" for n in range(2, 7)]
    for number in range(5):
        make_copy(str(root), f"{number}" * 40, "2.1")
    assert not (folder / COPY).exists() and len(list(folder.glob("replaced-*.db"))) == 5
