"""Put NanoClaw's central database back to a copy, and keep the rows that were written since.

A later version has migrated the present database, and messages came in meanwhile. Rows with a key that the copy lacks
come along, with the columns that both have; what the older schema does not take, and what refers to nothing, does not.
A table without a key stays as the copy has it: its rows cannot be told apart. Callers run as the host user, while
nothing has the database open.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from urllib.parse import quote

from files.pods.common.atomic_write import rename_to_disk
from files.pods.source.central_database import COPIES, connect, copies, database, make_copy, migrations

NOT_ROWS = ("schema_version",)
"""Tables that say which migrations were applied: each database keeps its own."""


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def tables(connection: sqlite3.Connection, schema: str) -> list[str]:
    """Return the names of ordinary tables."""
    rows = connection.execute(
        f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
    )
    return [name for (name,) in rows if not name.startswith("sqlite_") and name not in NOT_ROWS]


def columns(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    """Return the columns of a table that a row states."""
    return [row[1] for row in connection.execute(f"PRAGMA {schema}.table_xinfo({quoted(table)})") if row[6] == 0]


def keys(connection: sqlite3.Connection, schema: str, table: str) -> list[set[str]]:
    """Return the columns of each key of a table: its primary key, and indexes of unique values that are never NULL."""
    info = connection.execute(f"PRAGMA {schema}.table_xinfo({quoted(table)})").fetchall()
    never_null = {row[1] for row in info if row[3]}
    primary = {row[1] for row in info if row[5]}
    known = [primary] if primary else []
    for _, index, unique, _, partial in connection.execute(f"PRAGMA {schema}.index_list({quoted(table)})").fetchall():
        named = {row[2] for row in connection.execute(f"PRAGMA {schema}.index_info({quoted(index)})")}
        if unique and not partial and named <= never_null:
            known.append(named)
    return known


def merge(old: str, newer: str) -> int:
    """Add the rows of a newer database to an older one; return how many."""
    with closing(sqlite3.connect(old, timeout=30, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS newer", (newer,))
        connection.execute("BEGIN IMMEDIATE")
        before = connection.total_changes
        there = set(tables(connection, "newer"))
        for table in tables(connection, "main"):
            if table in there:
                both = set(columns(connection, "newer", table))
                named = ", ".join(quoted(name) for name in columns(connection, "main", table) if name in both)
                if any(key <= both for key in keys(connection, "main", table)):
                    insert = f"INSERT OR IGNORE INTO main.{quoted(table)} ({named})"
                    connection.execute(f"{insert} SELECT {named} FROM newer.{quoted(table)}")
        added = connection.total_changes - before
        removed = remove_orphans(connection)
        connection.execute("COMMIT")
        return added - removed


def remove_orphans(connection: sqlite3.Connection) -> int:
    """Remove rows that refer to a row that is missing; return how many."""
    count = 0
    while orphans := connection.execute("PRAGMA main.foreign_key_check").fetchall():
        for table, rowid, _parent, _key in orphans:
            connection.execute(f"DELETE FROM main.{quoted(table)} WHERE rowid = ?", (rowid,))
        count += len(orphans)
    return count


def put_back(root: str, name: str | None) -> str:
    """Put the central database back to a copy; return what was done.

    A database that no later version has migrated stays. Raises OSError or sqlite3.Error; the database is whole then.

    + name: that of the copy that the switch made; None if there was no database
    """
    present = database(root)
    copy = next((one for one in copies(root) if one["file"] == name), None)
    if copy is None:
        return "there is no copy of the database, so it stays"
    path, source = f"{root}/data/v2.db", f"{root}/{COPIES}/{copy['file']}"
    if present and readable_migrations(present) == copy["migrations"]:
        return "no migration was applied to the database, so it stays"
    new = path + ".new"
    for end in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(new + end)
    fresh = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(source, "rb") as old, open(fresh, "wb") as file:
        shutil.copyfileobj(old, file)
    added: int | None = None
    if present:
        with suppress(OSError, sqlite3.Error):
            make_copy(root, "", "the database that a rollback replaced", f"replaced-{int(time.time())}")
        with suppress(sqlite3.Error):
            with closing(connect(present, copying=True)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that no log is lost before the rename
            added = merge(new, f"file:{quote(present)}?mode=rw")
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        if (verdict := connection.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise OSError(f"{new} is not whole: {verdict}")
    with open(new, "rb+") as file:
        os.fsync(file.fileno())
    for end in ("-wal", "-shm", "-journal"):  # SQLite would apply an old log to the new file
        with suppress(FileNotFoundError):
            os.unlink(path + end)
    rename_to_disk(new, path)
    rows = "its rows could not be read" if added is None else f"{added} rows written since were added"
    return f"the database is its copy of {copy['version']} again; {rows}"


def readable_migrations(path: str) -> list[str] | None:
    """Return the applied migrations of a database; None if it cannot be read."""
    try:
        return migrations(path)
    except sqlite3.Error:
        return None
