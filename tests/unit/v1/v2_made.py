"""A small NanoClaw v2 on a disk, as its own migration steps leave it: tables and columns as in 2.0.64."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.unit.v1.v1_extracted import rows

_CENTRAL = """
CREATE TABLE agent_groups (id TEXT PRIMARY KEY, name TEXT NOT NULL, folder TEXT NOT NULL UNIQUE, agent_provider TEXT,
  created_at TEXT NOT NULL);
CREATE TABLE messaging_groups (id TEXT PRIMARY KEY, channel_type TEXT NOT NULL, platform_id TEXT NOT NULL, name TEXT,
  is_group INTEGER DEFAULT 0, unknown_sender_policy TEXT NOT NULL DEFAULT 'strict', created_at TEXT NOT NULL,
  UNIQUE (channel_type, platform_id));
CREATE TABLE sessions (id TEXT PRIMARY KEY, agent_group_id TEXT NOT NULL, messaging_group_id TEXT, thread_id TEXT,
  agent_provider TEXT, status TEXT DEFAULT 'active', container_status TEXT DEFAULT 'stopped', last_active TEXT,
  created_at TEXT NOT NULL);
"""
INBOUND = """
CREATE TABLE messages_in (id TEXT PRIMARY KEY, seq INTEGER UNIQUE, kind TEXT NOT NULL, timestamp TEXT NOT NULL,
  status TEXT DEFAULT 'pending', process_after TEXT, recurrence TEXT, series_id TEXT, tries INTEGER DEFAULT 0,
  trigger INTEGER NOT NULL DEFAULT 1, platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT NOT NULL);
"""
_OUTBOUND = "CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL);"
_ANY = "any-2"
"""The conversation that NanoClaw's own step resumes."""
PLATFORMS = {
    "tg:1001": "telegram:1001",
    "tg:2002": "telegram:2002",
    "tg:2222": "telegram:2222",
    "tg:3003": "telegram:3003",
    "tg:-1001234567890": "telegram:-1001234567890",
    "dc:1190000000000000001": "discord:@me:1190000000000000001",
}
"""What the chats of the lab's trees are in v2; those of WhatsApp keep their names."""


class V2:
    """A project root that the steps filled from a snapshot."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "data/v2-sessions").mkdir(parents=True)
        (root / "groups").mkdir()
        self.write("data/v2.db", _CENTRAL)

    def write(self, path: str, script: str) -> None:
        with closing(sqlite3.connect(self.root / path)) as database:
            database.executescript(script)

    def say(self, path: str, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.root / path)) as database, database:
            database.execute(statement, values)

    def run_steps(self, snapshot: Path) -> None:
        """db, groups, sessions and tasks, as often as they are run; a task needs a chat that is none of Discord."""
        database = snapshot / "store/messages.db"
        for row in rows(database, "registered_groups"):
            folder, jid = row["folder"], row["jid"]
            platform = PLATFORMS.get(jid, jid)
            channel = platform.partition(":")[0] if ":" in platform else "whatsapp"
            add = "INSERT OR IGNORE INTO {}"
            agents, chats = add.format("agent_groups VALUES (?, ?, ?, NULL, '')"), add.format("messaging_groups")
            self.say("data/v2.db", agents, f"ag-{folder}", folder, folder)
            self.say("data/v2.db", f"{chats} VALUES (?, ?, ?, '', 0, 'public', '')", f"mg-{folder}", channel, platform)
            if (snapshot / "data/sessions" / folder).is_dir():
                self.session(f"sess-{folder}", f"ag-{folder}", f"mg-{folder}", _ANY)
        for folder in (snapshot / "groups").iterdir():
            memory, own = folder / "CLAUDE.md", self.root / "groups" / folder.name / "CLAUDE.local.md"
            own.parent.mkdir(exist_ok=True)
            if memory.exists() and not own.exists():
                shutil.copyfile(memory, own)
        present = {row["folder"]: row["jid"] for row in rows(database, "registered_groups")}
        for task in rows(database, "scheduled_tasks"):
            if task["status"] == "active" and not present.get(task["group_folder"], "dc:").startswith("dc:"):
                self.task(task)

    def session(self, name: str, agent: str, chat: str | None, goes_on: str = "", thread: str | None = None) -> None:
        statement = "INSERT OR IGNORE INTO sessions (id, agent_group_id, messaging_group_id, thread_id, created_at)"
        self.say("data/v2.db", f"{statement} VALUES (?, ?, ?, ?, '')", name, agent, chat, thread)
        place = f"data/v2-sessions/{agent}/{name}"
        if not (self.root / place).exists():
            (self.root / place / "outbox").mkdir(parents=True)
            self.write(f"{place}/inbound.db", INBOUND)
            self.write(f"{place}/outbound.db", _OUTBOUND)
        if goes_on:
            add = "INSERT OR REPLACE INTO session_state VALUES ('continuation:claude', ?, 'now')"
            self.say(f"{place}/outbound.db", add, goes_on)

    def task(self, task: dict[str, Any]) -> None:
        about = {"original_id": task["id"], "context_mode": task["context_mode"]}
        content = {"prompt": task["prompt"], "script": task.get("script"), "migrated_from_v1": about}
        folder = task["group_folder"]
        add = (
            "INSERT OR IGNORE INTO messages_in (id, seq, kind, timestamp, process_after, recurrence, series_id,"
            " content) SELECT ?, COALESCE(MAX(seq), 0) + 2, 'task', '', ?, ?, ?, ? FROM messages_in"
        )
        recurrence = None if task["schedule_type"] == "once" else task["schedule_value"]
        values = (task["id"], task["next_run"], recurrence, task["id"], json.dumps(content, separators=(",", ":")))
        self.say(f"data/v2-sessions/ag-{folder}/sess-{folder}/inbound.db", add, *values)

    def tasks(self, folder: str) -> dict[str, dict[str, Any]]:
        place = self.root / f"data/v2-sessions/ag-{folder}/sess-{folder}/inbound.db"
        return {row["id"]: row for row in rows(place, "messages_in")}

    def goes_on(self, folder: str, session: str = "") -> str | None:
        place = self.root / f"data/v2-sessions/ag-{folder}/{session or f'sess-{folder}'}/outbound.db"
        state = {row["key"]: row["value"] for row in rows(place, "session_state")}
        return state.get("continuation:claude")

    def policies(self) -> dict[str, str]:
        rows_of_chats = rows(self.root / "data/v2.db", "messaging_groups")
        return {row["platform_id"]: row["unknown_sender_policy"] for row in rows_of_chats}

    def held(self) -> dict[str, Any]:
        """Return all that a fix-up could change."""
        every = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in every if not path.name.endswith(("-shm", "-wal"))}
