"""Scheduled tasks in the sessions of v2, made those of v1: for programs that import it.

NanoClaw's own step adds the tasks that it understands, once. v1 may have run, changed, paused or removed some since,
and a task that has run must not run again. So rows that came from v1 and have not ended become what v1 has now, and
those that v1 no longer has are removed. Only for a v2 that does not serve yet.
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
    """A session's database cannot be changed; says why."""


class DesiredTask(NamedTuple):
    """A task of v1, for the session of its chat."""

    task: dict[str, Any]
    due: str | None
    recurrence: str | None
    channel: str
    platform: str
    paused: bool


def text_of_value(value: object) -> str:
    """Return a value of v1's database as text, also one that was written as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)


def desired_task(task: dict[str, Any], chat: tuple[str, str, str], paused: bool) -> DesiredTask | None:
    """Return a task of v1 as v2 schedules it; None for a schedule that v2 does not understand."""
    texts = [text_of_value(task.get(name)) for name in ("schedule_type", "schedule_value", "next_run")]
    due = schedule(texts[0], texts[1], texts[2] or None)
    return DesiredTask(task, *due, chat[1], chat[2], paused) if due else None


def open_database(path: str) -> sqlite3.Connection:
    """Open a database that exists, and create none. An agent may own its directory, so no link is followed."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        raise UnusableError(f"{os.path.basename(path)} is not there") from None
    if not stat.S_ISREG(mode):
        raise UnusableError(f"{os.path.basename(path)} is a link, or no file")
    connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=30, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def settle_tasks(directory: str, desired: list[DesiredTask], answer: dict[str, Any]) -> None:
    """Make the tasks from v1 in the inbound.db of a session the desired ones."""
    with contextlib.closing(open_database(f"{directory}/inbound.db")) as inbound, inbound:
        inbound.execute("BEGIN IMMEDIATE")
        columns = [row["name"] for row in inbound.execute("PRAGMA table_info(messages_in)")]
        rows = list(inbound.execute("SELECT * FROM messages_in WHERE kind = 'task'"))
        by: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            by.setdefault(origin(row) or row["id"], []).append(row)
        ids = {one.task["id"] for one in desired}
        for row in rows:
            if origin(row) is not None and origin(row) not in ids and row["status"] in LIVE:
                inbound.execute("DELETE FROM messages_in WHERE id = ?", (row["id"],))
                answer["tasks_removed"].append(escape_control(text_of_value(row["id"])))
        for one in desired:
            name = escape_control(text_of_value(one.task["id"]))
            live = [row for row in by.get(one.task["id"], []) if row["status"] in LIVE]
            if live:
                changed = [change(inbound, row, one) for row in live]
                answer["tasks_updated"] += [name] if any(changed) else []
            elif inbound.execute("SELECT 1 FROM messages_in WHERE id = ?", (one.task["id"],)).fetchone():
                continue  # v2 itself has run it, or is running it
            else:
                add(inbound, columns, one)
                answer["tasks_inserted"].append(name)
            answer["paused"] += [name] if one.paused else []


def origin(row: sqlite3.Row) -> str | None:
    """Return the id that a task had in v1; None for a task of v2."""
    try:
        return str(json.loads(row["content"])["migrated_from_v1"]["original_id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def content_of(task: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a task's row, as NanoClaw's own step writes it."""
    script, mode = task.get("script"), task.get("context_mode")
    return {
        "prompt": text_of_value(task.get("prompt")),
        "script": None if script is None else text_of_value(script),
        "migrated_from_v1": {"original_id": task["id"], "context_mode": mode},
    }


def text_of_content(task: dict[str, Any]) -> str:
    """Return that content as JSON."""
    return json.dumps(content_of(task), ensure_ascii=False, separators=(",", ":"))


def change(inbound: sqlite3.Connection, row: sqlite3.Row, one: DesiredTask) -> bool:
    """Update a row from v1; return whether it changed."""
    content = row["content"] if json.loads(row["content"]) == content_of(one.task) else text_of_content(one.task)
    now = (row["status"], row["process_after"], row["recurrence"], row["content"])
    new = ("paused" if one.paused else "pending", one.due or row["process_after"], one.recurrence, content)
    if now == new:
        return False
    assignments = "status = ?, process_after = ?, recurrence = ?, content = ?"
    inbound.execute(f"UPDATE messages_in SET {assignments} WHERE id = ?", (*new, row["id"]))
    return True


def add(inbound: sqlite3.Connection, columns: list[str], one: DesiredTask) -> None:
    """Insert a row as NanoClaw's own step does (tasks.ts, insertTask), with the columns that exist."""
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
    present = {name: value for name, value in row.items() if name in columns}
    placeholders = ", ".join("?" * len(present))
    inbound.execute(f"INSERT INTO messages_in ({', '.join(present)}) VALUES ({placeholders})", tuple(present.values()))
