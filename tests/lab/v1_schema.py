"""The database of NanoClaw v1: tables and columns of src/db.ts in 1.1.6, 1.2.0 and 1.2.53."""

from __future__ import annotations

import sqlite3
from typing import Literal, get_args

Version = Literal["1.1.6", "1.2.0", "1.2.53"]
VERSIONS: tuple[Version, ...] = get_args(Version)

_TABLES = {
    "chats": "jid TEXT PRIMARY KEY, name TEXT, last_message_time TEXT, channel TEXT, is_group INTEGER DEFAULT 0",
    "messages": "id TEXT, chat_jid TEXT, sender TEXT, sender_name TEXT, content TEXT, timestamp TEXT,"
    " is_from_me INTEGER, is_bot_message INTEGER DEFAULT 0, PRIMARY KEY (id, chat_jid)",
    "scheduled_tasks": "id TEXT PRIMARY KEY, group_folder TEXT NOT NULL, chat_jid TEXT NOT NULL, prompt TEXT NOT NULL,"
    " schedule_type TEXT NOT NULL, schedule_value TEXT NOT NULL, next_run TEXT, last_run TEXT, last_result TEXT,"
    " status TEXT DEFAULT 'active', created_at TEXT NOT NULL, context_mode TEXT DEFAULT 'isolated'",
    "task_run_logs": "id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, run_at TEXT NOT NULL,"
    " duration_ms INTEGER NOT NULL, status TEXT NOT NULL, result TEXT, error TEXT",
    "router_state": "key TEXT PRIMARY KEY, value TEXT NOT NULL",
    "sessions": "group_folder TEXT PRIMARY KEY, session_id TEXT NOT NULL",
    "registered_groups": "jid TEXT PRIMARY KEY, name TEXT NOT NULL, folder TEXT NOT NULL UNIQUE,"
    " trigger_pattern TEXT NOT NULL, added_at TEXT NOT NULL, container_config TEXT, requires_trigger INTEGER DEFAULT 1",
}
_LATER: dict[Version, tuple[tuple[str, str], ...]] = {
    "1.2.0": (("registered_groups", "is_main INTEGER DEFAULT 0"),),
    "1.2.53": (
        ("scheduled_tasks", "script TEXT"),
        ("messages", "reply_to_message_id TEXT"),
        ("messages", "reply_to_message_content TEXT"),
        ("messages", "reply_to_sender_name TEXT"),
    ),
}


def create_tables(database: sqlite3.Connection, version: Version) -> None:
    """Create the tables of a version, empty."""
    for table, columns in _TABLES.items():
        database.execute(f"CREATE TABLE {table} ({columns})")
    for later, added in _LATER.items():
        if VERSIONS.index(later) <= VERSIONS.index(version):
            for table, column in added:
                database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
