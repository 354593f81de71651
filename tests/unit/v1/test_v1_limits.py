"""Limits on what is read of v1's database: rows, bytes, and the length of each value."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from files.pods.v1 import queries
from files.pods.v1 import rows as v1_rows
from files.pods.v1.queries import UnreadError
from files.pods.v1.v1_state import Group

GROUPS = "CREATE TABLE registered_groups (jid TEXT, folder TEXT, container_config TEXT, is_main INTEGER)"


def uri_of(folder: Path, *statements: str) -> str:
    """A database of v1 that these statements made."""
    with contextlib.closing(sqlite3.connect(folder / "messages.db")) as database, database:
        for statement in statements:
            database.execute(statement)
    return f"file:{folder}/messages.db?mode=ro"


def groups(number: int, name: str = "g") -> list[str]:
    """Statements that make so many groups."""
    rows = [f"INSERT INTO registered_groups VALUES ('tg:{each}', '{name}{each}', NULL, 0)" for each in range(number)]
    return [GROUPS, *rows]


@pytest.mark.parametrize(("number", "why"), [(3, None), (4, "its table registered_groups has more than 3 rows")])
def test_snapshot_of_too_many_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, why: str | None
) -> None:
    monkeypatch.setattr(v1_rows, "MOST_ROWS", 3)
    uri = uri_of(tmp_path, *groups(number))
    if why:
        with pytest.raises(UnreadError) as refused:
            v1_rows.tables_of(uri)
        assert str(refused.value) == why
    else:
        columns, rows = v1_rows.tables_of(uri)["registered_groups"]
        assert (columns, [row["folder"] for row in rows]) == (
            ["jid", "folder", "container_config", "is_main"],
            ["g0", "g1", "g2"],
        )


def test_snapshot_needs_the_table_of_groups_alone(tmp_path: Path) -> None:
    tables = v1_rows.tables_of(uri_of(tmp_path, GROUPS))
    assert {name: rows for name, (_columns, rows) in tables.items()} == {name: [] for name in queries.COLUMNS}
    with contextlib.closing(sqlite3.connect(tmp_path / "messages.db")) as database, database:
        database.execute("ALTER TABLE registered_groups RENAME TO other")
    with pytest.raises(UnreadError, match=r"^it has no table registered_groups, but 1 others$"):
        v1_rows.tables_of(f"file:{tmp_path}/messages.db?mode=ro")


@pytest.mark.parametrize(("limit", "refused"), [(200, False), (199, True)])
def test_rows_that_take_too_much_memory_are_refused(monkeypatch: pytest.MonkeyPatch, limit: int, refused: bool) -> None:
    """64 bytes a row, and what its values take: 36 letters, or 28 letters and a number."""
    monkeypatch.setattr(queries, "MOST_BYTES", limit)
    rows: list[Any] = [("x" * 18, b"y" * 18), ("x" * 28, 5)]
    if refused:
        with pytest.raises(UnreadError, match=r"^its table chats holds more than 0 MiB$"):
            queries.fetch_bounded(rows, "chats")
    else:
        assert queries.fetch_bounded(rows, "chats") == rows


def test_inspection_reads_the_first_rows_and_the_start_of_each_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "ROWS", 2)
    monkeypatch.setattr(queries, "LONGEST", 4)
    content = queries.rows_of(uri_of(tmp_path, *groups(3, name="folder")))
    assert [group.folder for group in content["groups"]] == ["fold", "fold"]
    assert (content["state"], content["checked"], content["is_main"]) == ("read", True, True)


@pytest.mark.parametrize(
    ("config", "mounts"),
    [
        ("NULL", []),
        ("''", []),
        ("'{}'", []),
        ("""'{"additionalMounts": null}'""", []),
        ("""'{"additionalMounts": [{"hostPath": "/srv/a"}, {"hostPath": "~/b"}]}'""", ["/srv/a", "~/b"]),
        ("""'{"additionalMounts": [{"path": "/srv/a"}]}'""", ["(it cannot be read)"]),
        ("""'{"additionalMounts": 3}'""", ["(it cannot be read)"]),
        ("'[]'", ["(it cannot be read)"]),
        ("'{'", ["(it cannot be read)"]),
    ],
)
def test_mounts_of_a_group_are_those_of_its_configuration(tmp_path: Path, config: str, mounts: list[str]) -> None:
    uri = uri_of(tmp_path, GROUPS, f"INSERT INTO registered_groups VALUES ('tg:1', 'main', {config}, 1)")
    (group,) = queries.rows_of(uri)["groups"]
    assert group == Group("main", "tg:1", main=True, direct=None, mounts=mounts)


def test_group_of_an_early_schema_is_the_main_one_by_its_folder(tmp_path: Path) -> None:
    made = "CREATE TABLE registered_groups (jid TEXT, folder TEXT)"
    chats = "CREATE TABLE chats (jid TEXT, is_group INTEGER)"
    rows = [f"INSERT INTO registered_groups VALUES ('{name}', '{name}')" for name in ("main", "family")]
    kinds = [f"INSERT INTO chats VALUES ('{name}', {kind})" for name, kind in (("main", 0), ("family", 1))]
    content = queries.rows_of(uri_of(tmp_path, made, chats, *rows, *kinds))
    assert [(group.folder, group.main, group.direct) for group in content["groups"]] == [
        ("main", True, True),
        ("family", False, False),
    ]
    assert content["is_main"] is False


def test_database_of_others_is_named_as_such(tmp_path: Path) -> None:
    content = queries.rows_of(uri_of(tmp_path, "CREATE TABLE a (b)", "CREATE VIEW registered_groups AS SELECT 1"))
    assert content == {"state": "foreign", "text": "it has no table registered_groups, but 1 others"}


def test_corrupt_database_is_named_as_such(tmp_path: Path) -> None:
    uri = uri_of(tmp_path, *groups(1), "CREATE TABLE sessions (group_folder TEXT NOT NULL)")
    with contextlib.closing(sqlite3.connect(tmp_path / "messages.db")) as database, database:
        database.execute("INSERT INTO sessions VALUES ('main')")
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'TEXT NOT', 'INTEGER NOT') WHERE name = 'sessions'"
        )
        database.execute("CREATE UNIQUE INDEX by_jid ON registered_groups (jid)")
        database.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'by_jid'")
    content = queries.rows_of(uri)
    assert content["state"] == "corrupt" and content["text"] and content["groups"][0].folder == "g0"
