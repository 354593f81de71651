"""Scheduled tasks in the sessions of v2, as v1 has them now: for programs that import it.

NanoClaw's own step adds those that it understands, once. What v1 has done with them since (run, changed, paused,
removed) has to count: a task that has run must not run again. So rows that came from v1 and have not ended are made
what v1 says, and those that v1 does not have any more are removed. Only to be used before v2 serves.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import quote

from files.pods.common.sanitize import escape_control
from files.pods.v1.rules import schedule

LIVE = ("pending", "paused")


class UnusableError(Exception):
    """Why a session's database is left alone."""


class Wanted(NamedTuple):
    """A task of v1, for the session of its chat."""

    task: dict[str, Any]
    due: str | None
    recurrence: str | None
    channel: str
    platform: str
    paused: bool


def text_of_value(value: object) -> str:
    """A value of v1's database as text; one that was written as bytes too."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)


def wanted_of(task: dict[str, Any], chat: tuple[str, str, str], paused: bool) -> Wanted | None:
    """None where the schedule says nothing that v2 could follow."""
    said = [text_of_value(task.get(name)) for name in ("schedule_type", "schedule_value", "next_run")]
    due = schedule(said[0], said[1], said[2] or None)
    return Wanted(task, *due, chat[1], chat[2], paused) if due else None


def opened(path: str) -> sqlite3.Connection:
    """A database that is there: none is made. An agent may own the place, so no link is followed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        raise UnusableError(f"{os.path.basename(path)} is not there") from None
    if not stat.S_ISREG(mode):
        raise UnusableError(f"{os.path.basename(path)} is a link, or no file")
    connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=30, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def settle_tasks(directory: str, wanted: list[Wanted], answer: dict[str, Any]) -> None:
    """Makes the tasks from v1 in the inbound.db of a session those that are wanted."""
    with contextlib.closing(opened(f"{directory}/inbound.db")) as inbound, inbound:
        inbound.execute("BEGIN IMMEDIATE")
        columns = [row["name"] for row in inbound.execute("PRAGMA table_info(messages_in)")]
        rows = list(inbound.execute("SELECT * FROM messages_in WHERE kind = 'task'"))
        by: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            by.setdefault(origin(row) or row["id"], []).append(row)
        ids = {one.task["id"] for one in wanted}
        for row in rows:
            if origin(row) is not None and origin(row) not in ids and row["status"] in LIVE:
                inbound.execute("DELETE FROM messages_in WHERE id = ?", (row["id"],))
                answer["tasks_removed"].append(escape_control(text_of_value(row["id"])))
        for one in wanted:
            name = escape_control(text_of_value(one.task["id"]))
            live = [row for row in by.get(one.task["id"], []) if row["status"] in LIVE]
            if live:
                changed = [change(inbound, row, one) for row in live]
                answer["tasks_updated"] += [name] if any(changed) else []
            elif inbound.execute("SELECT 1 FROM messages_in WHERE id = ?", (one.task["id"],)).fetchone():
                continue  # v2 itself has done it, or is doing it
            else:
                add(inbound, columns, one)
                answer["tasks_inserted"].append(name)
            answer["paused"] += [name] if one.paused else []


def origin(row: sqlite3.Row) -> str | None:
    """The id that a task had in v1; None where it did not come from there."""
    try:
        return str(json.loads(row["content"])["migrated_from_v1"]["original_id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def content_of(task: dict[str, Any]) -> dict[str, Any]:
    script, mode = task.get("script"), task.get("context_mode")
    return {
        "prompt": text_of_value(task.get("prompt")),
        "script": None if script is None else text_of_value(script),
        "migrated_from_v1": {"original_id": task["id"], "context_mode": mode},
    }


def text_of_content(task: dict[str, Any]) -> str:
    return json.dumps(content_of(task), ensure_ascii=False, separators=(",", ":"))


def change(inbound: sqlite3.Connection, row: sqlite3.Row, one: Wanted) -> bool:
    """Makes a row what v1 says; whether it said something else."""
    content = row["content"] if json.loads(row["content"]) == content_of(one.task) else text_of_content(one.task)
    now = (row["status"], row["process_after"], row["recurrence"], row["content"])
    new = ("paused" if one.paused else "pending", one.due or row["process_after"], one.recurrence, content)
    if now == new:
        return False
    words = "status = ?, process_after = ?, recurrence = ?, content = ?"
    inbound.execute(f"UPDATE messages_in SET {words} WHERE id = ?", (*new, row["id"]))
    return True


def add(inbound: sqlite3.Connection, columns: list[str], one: Wanted) -> None:
    """A row as NanoClaw's own step makes it (tasks.ts, insertTask), in the columns that are there."""
    last = inbound.execute("SELECT COALESCE(MAX(seq), 0) FROM messages_in").fetchone()[0]
    now = datetime.now(timezone.utc)
    row = {
        "id": one.task["id"],
        "seq": last + 2 - last % 2,  # the host's are even
        "kind": "task",
        "timestamp": f"{now:%Y-%m-%d %H:%M:%S}",
        "status": "paused" if one.paused else "pending",
        "tries": 0,
        "process_after": one.due or f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
        "recurrence": one.recurrence,
        "series_id": one.task["id"],
        "platform_id": one.platform,
        "channel_type": one.channel,
        "content": text_of_content(one.task),
    }
    there = {name: value for name, value in row.items() if name in columns}
    marks = ", ".join("?" * len(there))
    inbound.execute(f"INSERT INTO messages_in ({', '.join(there)}) VALUES ({marks})", tuple(there.values()))
