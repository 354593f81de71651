"""Audit of groups, tasks and current conversations: v1's database against v2. For programs that import it.

v1's own database is the source; the snapshot only has the cron expressions of intervals. The names are those of
NanoClaw 2.0.64 (setup/migrate-v2/shared.ts, db.ts, sessions.ts, tasks.ts).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from files.pods.common.run_as_ids import describe_error
from files.pods.v1.audit.databases import Row, Tables, database_of
from files.pods.v1.audit.entries import Below, type_of
from files.pods.v1.audit.ledger import Ledger

PREFIXES = {"dc": "discord", "tg": "telegram", "wa": "whatsapp", "mx": "matrix", "im": "imessage"}
WHATSAPP = ("s.whatsapp.net", "g.us", "lid", "broadcast", "newsletter")
CONTINUATION = "continuation:claude"


class Group(NamedTuple):
    """A registered chat of v1."""

    jid: str
    folder: str
    main: bool


class V1Rows(NamedTuple):
    """The rows of v1's database, and the schedules of its snapshot."""

    groups: list[Group]
    tasks: list[Row]
    sessions: dict[str, str]
    schedules: dict[str, str]


def rows_of(v1: Tables, snapshot: Tables) -> V1Rows:
    """Return the rows that the audit compares."""
    groups = [
        Group(str(row["jid"]), str(row["folder"]), row["is_main"] == 1 if "is_main" in row else row["folder"] == "main")
        for row in v1.rows("registered_groups")
    ]
    tasks = [row for row in v1.rows("scheduled_tasks") if row["status"] != "completed"]
    sessions = {str(row["group_folder"]): str(row["session_id"]) for row in v1.rows("sessions")}
    schedules = {str(row["id"]): str(row["schedule_value"]) for row in snapshot.rows("scheduled_tasks")}
    return V1Rows(groups, tasks, sessions, schedules)


def platform_of(jid: str) -> tuple[str, str] | None:
    """Return the channel and the platform id of a chat, as v2 has them; None if v2 knows neither.

    Discord's platform ids have a server's id before the chat's: this returns their end.
    """
    if jid.rpartition("@")[2].lower() in WHATSAPP and "@" in jid:
        return "whatsapp", jid
    prefix, _colon, name = jid.partition(":")
    prefix = prefix.lower()
    channel = PREFIXES.get(prefix, prefix)
    if not channel or not name:
        return None
    whole = channel == "whatsapp" or name.startswith(f"{channel}:")
    return channel, name if whole else f"{channel}:{name}"


class Central:
    """The rows of v2's central database."""

    def __init__(self, tables: Tables) -> None:
        self.agents: dict[str, str] = {row["folder"]: row["id"] for row in tables.rows("agent_groups")}
        chats = tables.rows("messaging_groups")
        self.chats: dict[tuple[str, str], str] = {(row["channel_type"], row["platform_id"]): row["id"] for row in chats}
        wires = tables.rows("messaging_group_agents")
        self.wired = {(row["messaging_group_id"], row["agent_group_id"]) for row in wires}
        self.sessions: dict[tuple[str, str], str] = {
            (row["agent_group_id"], row["messaging_group_id"]): row["id"]
            for row in tables.rows("sessions")
            if row["status"] == "active" and row["thread_id"] is None
        }

    def chat(self, jid: str) -> str | None:
        """Return the messaging group of a chat of v1; None without one, or if several match."""
        channel, name = platform_of(jid) or ("", "")
        if channel != "discord":
            return self.chats.get((channel, name))
        end = ":" + name.rpartition(":")[2]
        matches = [one for (kind, platform), one in self.chats.items() if kind == channel and platform.endswith(end)]
        return matches[0] if len(matches) == 1 else None


class Chats:
    """Compare v1's rows with v2."""

    def __init__(self, rows: V1Rows, central: Central, v1: Below, v2: Below, scratch: str, ledger: Ledger) -> None:
        self.rows, self.central, self.v1, self.v2 = rows, central, v1, v2
        self.scratch, self.ledger = scratch, ledger
        self.skipped = {group.jid for group in rows.groups if ledger.is_known(f"group {group.jid}")}
        self.migrated = {group.folder: group for group in rows.groups if group.jid not in self.skipped}

    def audit(self) -> None:
        """Compare all groups, tasks and current conversations."""
        for group in self.rows.groups:
            self.ledger.judge("groups", f"group {group.jid}", self.group_problem(group))
        for task in self.rows.tasks:
            if why := self.skip_reason(task):
                self.ledger.skip(f"task {task['id']}", why, "tasks")
            else:
                self.ledger.judge("tasks", f"task {task['id']}", self.task_problem(task))
        for folder, session in self.rows.sessions.items():
            if folder in self.migrated and folder in self.central.agents:
                self.check_current(folder, session)

    def skip_reason(self, task: Row) -> str:
        """Return why a task is not migrated; empty if it is."""
        jids = {group.jid for group in self.rows.groups}
        folders = {group.folder for group in self.rows.groups}
        if task["chat_jid"] not in jids or task["group_folder"] not in folders:
            return "their group is not registered"
        migrated = task["chat_jid"] not in self.skipped and task["group_folder"] in self.migrated
        return "" if migrated else "its group is skipped"

    def group_problem(self, group: Group) -> str:
        """Return what v2 lacks of a group; empty for nothing."""
        agent, chat = self.central.agents.get(group.folder), self.central.chat(group.jid)
        if agent is None:
            return "v2 has no agent group with its folder"
        if chat is None:
            return "v2 has no messaging group for its chat"
        if (chat, agent) not in self.central.wired:
            return "its chat is not wired to its agent"
        session = self.central.sessions.get((agent, chat))
        if session is None:
            return "it has no session"
        for name in ("inbound.db", "outbound.db"):
            info = self.v2.lstat([*sessions_of(agent), session, name])
            if info is None or type_of(info.st_mode) != "a file":
                return f"its session {session} has no {name}"
        return ""

    def task_problem(self, task: Row) -> str:
        """Return what v2 lacks of a task; empty for nothing."""
        pair = (self.central.agents.get(task["group_folder"], ""), self.central.chat(task["chat_jid"]) or "")
        session = self.central.sessions.get(pair)
        if session is None:
            return "its group has no session in its chat"
        rows = self.in_session(pair[0], session, "inbound.db", lambda tables: tables.rows("messages_in"))
        if isinstance(rows, str):
            return rows
        matches = [row for row in rows if row["id"] == task["id"] and row["kind"] == "task"]
        return row_problem(task, matches[0], self.rows.schedules.get(str(task["id"]))) if matches else "not there"

    def check_current(self, folder: str, session: str) -> None:
        """Check that v2 resumes v1's current conversation, if v1 still has it."""
        name = f"continuation {folder}"
        place = ["data", "sessions", folder, ".claude", "projects", "-workspace-group", f"{session}.jsonl"]
        if self.v1.lstat(place) is None:
            self.ledger.skip(name, f"v1 no longer has its current conversation {session}")
            return
        agent = self.central.agents[folder]
        for (owner, _chat), of_v2 in self.central.sessions.items():
            if owner == agent:
                rows = self.in_session(agent, of_v2, "outbound.db", lambda tables: tables.rows("session_state"))
                if isinstance(rows, str):
                    self.ledger.lose(name, rows)
                    continue
                values = [row["value"] for row in rows if row["key"] == CONTINUATION]
                if values != [session]:
                    self.ledger.lose(name, f"resumes {values[0] if values else 'none'} instead of {session}")

    def in_session(self, agent: str, session: str, name: str, query: Callable[[Tables], Any]) -> Any:
        """Return the result of a query on a database of a session; a text if it cannot be read."""
        try:
            with database_of(self.v2.directory([*sessions_of(agent), session]), name, self.scratch) as tables:
                return query(tables)
        except (OSError, sqlite3.Error) as error:
            return f"{name} of session {session} cannot be read ({describe_error(error)[0]})"


def sessions_of(agent: str) -> list[str]:
    """Return the path of an agent group's sessions, below v2's root."""
    return ["data", "v2-sessions", agent]


def row_problem(task: Row, row: Row, in_snapshot: str | None) -> str:
    """Return how a task of v2 differs from v1's; empty if it does not."""
    try:
        content = json.loads(row["content"])
        prompt, script = content.get("prompt"), content.get("script")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "its content cannot be read"
    if prompt != task["prompt"]:
        return "has another prompt"
    if (script or None) != (task.get("script") or None):
        return "has another script"
    if (row["status"] == "paused") != (task["status"] == "paused"):
        return f"is {row['status']} instead of {task['status']}"
    if task["schedule_type"] in ("cron", "interval"):
        desired = str(task["schedule_value"]) if task["schedule_type"] == "cron" else in_snapshot
        if desired is None:
            return "the snapshot of v1 has no cron expression for its interval"
        return "" if row["recurrence"] == desired.strip() else f"recurs at {row['recurrence']} instead of {desired}"
    if row["recurrence"] is not None:
        return f"recurs at {row['recurrence']} instead of once"
    if not row["process_after"] or (task["next_run"] and not same_instant(task["next_run"], row["process_after"])):
        return f"is due at {row['process_after']} instead of {task['next_run']}"
    return ""


def same_instant(first: Any, second: Any) -> bool:
    """Return whether two ISO 8601 texts are the same moment."""
    if first == second:
        return True
    try:
        was, now = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (first, second))
    except (ValueError, AttributeError):
        return False
    return was == now
