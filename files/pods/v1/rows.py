"""Convert the rows of a NanoClaw v1 for the snapshot that NanoClaw's own steps read: for programs that import it.

Changes: is_main, which schemas from before 1.2.0 lack, is added. Intervals in milliseconds, which NanoClaw's own step
skips, become cron expressions. Paused tasks, which it skips too, become active and are listed in the table `paused`.
Rows with a folder that cannot be a directory name are skipped. Messages are not read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any

from files.pods.common.sanitize import escape_control
from files.pods.v1.queries import COLUMNS, UnreadError, connect, fetch_bounded, tables_in
from files.pods.v1.rules import cron_of, is_folder, period_of, understood

MOST_ROWS = 200_000
FOLDERS = {"registered_groups": "folder", "scheduled_tasks": "group_folder", "sessions": "group_folder"}
NO_FOLDER = "its folder is not the name of a directory"
Rows = dict[str, tuple[list[str], list[dict[str, Any]]]]
"""Columns and rows, by table."""


def tables_of(uri: str) -> Rows:
    """Read the four tables in one transaction."""
    with contextlib.closing(connect(uri)) as connection:
        connection.execute("BEGIN")
        there = tables_in(connection)
        if "registered_groups" not in there:
            raise UnreadError(f"it has no table registered_groups, but {len(there)} others")
        return {name: table_of(connection, name, name in there) for name in COLUMNS}


def table_of(connection: sqlite3.Connection, name: str, there: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns and the rows of a table; no rows without it."""
    if not there:
        return [column for column in COLUMNS[name] if column != "is_main"], []
    columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({name})")]
    columns = [column for column in columns if column.isidentifier()]
    names = ", ".join(f'"{column}"' for column in columns)
    rows = fetch_bounded(
        connection.execute(f"SELECT {names} FROM {name} LIMIT {MOST_ROWS + 1}"), name
    )  # in their order
    if len(rows) > MOST_ROWS:
        raise UnreadError(f"its table {name} has more than {MOST_ROWS} rows")
    return columns, [dict(zip(columns, row)) for row in rows]  # noqa: B905  strict= is newer than Python 3.9


def convert(tables: Rows) -> tuple[Rows, dict[str, Any]]:
    """Return the rows of the snapshot, and the program's answer about them.

    `folders`: of registered groups. `busy`: of registered groups that have tasks.
    """
    kept: Rows = {"chats": tables["chats"]}
    for name, column in FOLDERS.items():
        columns, rows = tables[name]
        kept[name] = columns, [row for row in rows if is_folder(row.get(column))]
    invalid = [row for row in tables["registered_groups"][1] if not is_folder(row.get("folder"))]
    left = [{"what": f"group {escape_control(str(row.get('jid')))}", "why": NO_FOLDER} for row in invalid]
    columns, groups = kept["registered_groups"]
    if "is_main" not in columns:
        rows = [{**row, "is_main": int(row["folder"] == "main")} for row in groups]
        kept["registered_groups"] = [*columns, "is_main"], rows
    columns, tasks = kept["scheduled_tasks"]
    paused = [task["id"] for task in tasks if task.get("status") == "paused"]
    changed = [convert_task(task) for task in tasks]
    kept["scheduled_tasks"] = columns, changed
    kept["paused"] = ["id"], [{"id": one} for one in paused]
    registered = {row["folder"] for row in groups}
    return kept, {
        "groups": len(groups),
        "tasks": sum(task.get("status") == "active" for task in changed),
        "paused": [escape_control(str(one)) for one in paused],
        "approximated": [about for task in tasks if (about := approximated(task))],
        "left": left,
        "folders": sorted(registered),
        "busy": sorted({task["group_folder"] for task in changed if task.get("status") == "active"} & registered),
    }


def convert_task(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task as NanoClaw's own step understands it."""
    if task.get("status") == "paused":
        task = {**task, "status": "active"}
    if period := unreadable_period(task):
        task = {**task, "schedule_type": "cron", "schedule_value": cron_of(period)[0]}
    return task


def unreadable_period(task: dict[str, Any]) -> int:
    """Return the period of an interval that NanoClaw's own step does not understand; else 0."""
    value = str(task.get("schedule_value") or "")
    return 0 if task.get("schedule_type") != "interval" or understood(value) else period_of(value)


def approximated(task: dict[str, Any]) -> dict[str, str]:
    """Return the old and new schedule of a task with an inexact conversion; empty for all others."""
    period = unreadable_period(task)
    if not period or task.get("status") not in ("active", "paused") or cron_of(period)[1]:
        return {}
    return {"id": escape_control(str(task["id"])), "from": f"every {period} ms", "to": cron_of(period)[0]}


def write_tables(path: str, rows: Rows) -> None:
    """Create a database, 0600 from its first byte. Its columns have no types, so values keep theirs."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for name, (columns, table_rows) in rows.items():
            names = ", ".join(f'"{column}"' for column in columns)
            connection.execute(f"CREATE TABLE {name} ({names})")
            placeholders = ", ".join("?" * len(columns))
            connection.executemany(
                f"INSERT INTO {name} VALUES ({placeholders})", (tuple(row.values()) for row in table_rows)
            )
