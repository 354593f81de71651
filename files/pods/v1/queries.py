"""Query the database of a NanoClaw v1, which is not trusted, within limits: for programs that import it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable
from typing import Any

from files.pods.common.sanitize import escape_control
from files.pods.v1.v1_state import Group, Task

CHECK_SECONDS = 2  # a lock is held meanwhile, and v1 waits 5 s for one
READ_SECONDS = 20
ROWS, LONGEST = 20000, 20000
LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH, which Python names from 3.11 on
MOST_BYTES, MOST_TABLES = 64 << 20, 1000
COLUMNS = {
    "chats": ("jid", "is_group"),
    "registered_groups": ("jid", "folder", "container_config", "is_main"),
    "scheduled_tasks": ("group_folder", "chat_jid", "schedule_type", "schedule_value", "status"),
    "sessions": ("group_folder",),
}


class UnreadError(Exception):
    """The database cannot be read; says why."""


def connect(uri: str) -> sqlite3.Connection:
    """Connect to a database that is not trusted, with limits."""
    connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.row_factory = sqlite3.Row
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}")
    if hasattr(connection, "setlimit"):  # Python 3.11; the child's memory is bounded as well
        connection.setlimit(LIMIT_LENGTH, MOST_BYTES)
    set_deadline(connection, READ_SECONDS)
    return connection


def rows_of(uri: str) -> dict[str, Any]:
    """Return fields of v1_state.Database: what the plan needs of the database."""
    with contextlib.closing(connect(uri)) as connection:
        tables = tables_in(connection)
        if "registered_groups" not in tables:
            return {"state": "foreign", "text": f"it has no table registered_groups, but {len(tables)} others"}
        direct = {row["jid"]: row["is_group"] == "0" for row in rows(connection, "chats") if row.get("is_group")}
        answer = {
            "is_main": "is_main" in columns_of(connection, "registered_groups"),
            "groups": [group(row, direct) for row in rows(connection, "registered_groups")],
            "tasks": [task(row, direct) for row in rows(connection, "scheduled_tasks")],
            "sessions": sorted({row["group_folder"] for row in rows(connection, "sessions")}),
        }
        set_deadline(connection, CHECK_SECONDS)
        return {**answer, **check(connection)}


def set_deadline(connection: sqlite3.Connection, seconds: int) -> None:
    """Abort queries after this time."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 5000)


def check(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return whether the database is sound, as far as there was time to check."""
    try:
        result = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return {"state": "read", "checked": False}
    return (
        {"state": "read", "checked": True} if result == "ok" else {"state": "corrupt", "text": escape_control(result)}
    )


def tables_in(connection: sqlite3.Connection) -> set[str]:
    """Return the names of real tables: a view or a virtual table runs its author's code."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    )
    return {row["name"] for row in tables.fetchmany(MOST_TABLES)}


def fetch_bounded(rows: Iterable[sqlite3.Row], table: str) -> list[sqlite3.Row]:
    """Return all rows of a query up to MOST_BYTES: some columns take no space in the file, but do in memory."""
    fetched, size = [], 0
    for row in rows:
        size += 64 + sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
        if size > MOST_BYTES:
            raise UnreadError(f"its table {table} holds more than {MOST_BYTES >> 20} MiB")
        fetched.append(row)
    return fetched


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns."""
    return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}


def rows(connection: sqlite3.Connection, table: str) -> list[dict[str, str]]:
    """Return the rows of a table, with those of COLUMNS that this version of v1 has; none without the table."""
    present = columns_of(connection, table) if table in tables_in(connection) else set()
    columns = [column for column in COLUMNS[table] if column in present]
    if not columns:
        return []
    # An agent may have written anything of any size, so each value is cut.
    cut = ", ".join(f"substr(CAST({column} AS TEXT), 1, {LONGEST}) AS {column}" for column in columns)
    fetched = fetch_bounded(connection.execute(f"SELECT {cut} FROM {table} LIMIT {ROWS}"), table)
    return [{column: row[column] or "" for column in columns} for row in fetched]


def group(row: dict[str, str], direct: dict[str, bool]) -> Group:
    """Return a registered chat."""
    folder, jid = row.get("folder", ""), row.get("jid", "")
    main = row["is_main"] == "1" if "is_main" in row else folder == "main"
    mounts = mounts_of(row.get("container_config") or "{}")
    return Group(escape_control(folder), escape_control(jid), main, direct.get(jid), mounts)


def mounts_of(config: str) -> list[str]:
    """Return the directories of the host that a group's agent mounts beside its own."""
    try:
        mounts = json.loads(config).get("additionalMounts") or []
        return [escape_control(str(mount["hostPath"])) for mount in mounts]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ["(it cannot be read)"]


def task(row: dict[str, str], direct: dict[str, bool]) -> Task:
    """Return a scheduled task."""
    names = {"folder": "group_folder", "jid": "chat_jid", "kind": "schedule_type", "value": "schedule_value"}
    texts = {key: escape_control(row.get(column, "")) for key, column in {**names, "status": "status"}.items()}
    return Task(**texts, direct=direct.get(row.get("chat_jid", "")))
