"""Groups, tasks and which conversation goes on: v1's database against what v2 has. For programs that import it.

v1's own database says what there is, the view of it only what became of intervals. The names are those of NanoClaw
2.0.64 (setup/migrate-v2/shared.ts, db.ts, sessions.ts, tasks.ts).
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


class Said(NamedTuple):
    """What v1's database says, and the view of it."""

    groups: list[Group]
    tasks: list[Row]
    sessions: dict[str, str]
    schedules: dict[str, str]


def said_by(v1: Tables, view: Tables) -> Said:
    groups = [
        Group(str(row["jid"]), str(row["folder"]), row["is_main"] == 1 if "is_main" in row else row["folder"] == "main")
        for row in v1.rows("registered_groups")
    ]
    tasks = [row for row in v1.rows("scheduled_tasks") if row["status"] != "completed"]
    sessions = {str(row["group_folder"]): str(row["session_id"]) for row in v1.rows("sessions")}
    schedules = {str(row["id"]): str(row["schedule_value"]) for row in view.rows("scheduled_tasks")}
    return Said(groups, tasks, sessions, schedules)


def platform_of(jid: str) -> tuple[str, str] | None:
    """The channel and the platform id of a chat, as v2 has them; None where v2 would know neither.

    Discord's platform ids have a server's before the chat's: what is returned is how they end.
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
    """v2's central database."""

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
        channel, name = platform_of(jid) or ("", "")
        if channel != "discord":
            return self.chats.get((channel, name))
        end = ":" + name.rpartition(":")[2]
        found = [one for (kind, platform), one in self.chats.items() if kind == channel and platform.endswith(end)]
        return found[0] if len(found) == 1 else None


class Chats:
    """Compares what is said with what v2 has."""

    def __init__(self, said: Said, central: Central, v1: Below, v2: Below, scratch: str, ledger: Ledger) -> None:
        self.said, self.central, self.v1, self.v2 = said, central, v1, v2
        self.scratch, self.ledger = scratch, ledger
        self.left = {group.jid for group in said.groups if ledger.is_known(f"group {group.jid}")}
        self.carried = {group.folder: group for group in said.groups if group.jid not in self.left}

    def account(self) -> None:
        for group in self.said.groups:
            self.ledger.judge("groups", f"group {group.jid}", self.group_why(group))
        for task in self.said.tasks:
            if why := self.left_why(task):
                self.ledger.leave(f"task {task['id']}", why, "tasks")
            else:
                self.ledger.judge("tasks", f"task {task['id']}", self.task_why(task))
        for folder, session in self.said.sessions.items():
            if folder in self.carried and folder in self.central.agents:
                self.goes_on(folder, session)

    def left_why(self, task: Row) -> str:
        """Why a task is not migrated; empty where it is."""
        jids = {group.jid for group in self.said.groups}
        folders = {group.folder for group in self.said.groups}
        if task["chat_jid"] not in jids or task["group_folder"] not in folders:
            return "their group is not registered"
        carried = task["chat_jid"] not in self.left and task["group_folder"] in self.carried
        return "" if carried else "its group is left"

    def group_why(self, group: Group) -> str:
        agent, chat = self.central.agents.get(group.folder), self.central.chat(group.jid)
        if agent is None:
            return "no agent group has its folder"
        if chat is None:
            return "no messaging group is its chat"
        if (chat, agent) not in self.central.wired:
            return "its chat is not wired to its agent"
        session = self.central.sessions.get((agent, chat))
        if session is None:
            return "it has no session"
        for name in ("inbound.db", "outbound.db"):
            found = self.v2.look([*sessions_of(agent), session, name])
            if found is None or type_of(found.st_mode) != "a file":
                return f"its session {session} has no {name}"
        return ""

    def task_why(self, task: Row) -> str:
        pair = (self.central.agents.get(task["group_folder"], ""), self.central.chat(task["chat_jid"]) or "")
        session = self.central.sessions.get(pair)
        if session is None:
            return "no session is its group's and its chat's"
        rows = self.in_session(pair[0], session, "inbound.db", lambda tables: tables.rows("messages_in"))
        if isinstance(rows, str):
            return rows
        found = [row for row in rows if row["id"] == task["id"] and row["kind"] == "task"]
        return row_why(task, found[0], self.said.schedules.get(str(task["id"]))) if found else "not there"

    def goes_on(self, folder: str, session: str) -> None:
        """Whether v2 goes on with the conversation that v1 went on with, if v1 still has it."""
        name = f"continuation {folder}"
        place = ["data", "sessions", folder, ".claude", "projects", "-workspace-group", f"{session}.jsonl"]
        if self.v1.look(place) is None:
            self.ledger.leave(name, f"v1 has no conversation {session}, with which it was to go on")
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
                    self.ledger.lose(name, f"goes on with {values[0] if values else 'none'} instead of {session}")

    def in_session(self, agent: str, session: str, name: str, ask: Callable[[Tables], Any]) -> Any:
        """What a database of a session is asked; a text where it cannot be."""
        try:
            with database_of(self.v2.directory([*sessions_of(agent), session]), name, self.scratch) as tables:
                return ask(tables)
        except (OSError, sqlite3.Error) as error:
            return f"{name} of session {session} cannot be read ({describe_error(error)[0]})"


def sessions_of(agent: str) -> list[str]:
    return ["data", "v2-sessions", agent]


def row_why(task: Row, row: Row, in_view: str | None) -> str:
    """What a task of v2 has otherwise than v1's."""
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
        wanted = str(task["schedule_value"]) if task["schedule_type"] == "cron" else in_view
        if wanted is None:
            return "the view of v1 does not say what becomes of its interval"
        return "" if row["recurrence"] == wanted.strip() else f"recurs at {row['recurrence']} instead of {wanted}"
    if row["recurrence"] is not None:
        return f"recurs at {row['recurrence']} instead of once"
    if not row["process_after"] or (task["next_run"] and not same_instant(task["next_run"], row["process_after"])):
        return f"is due at {row['process_after']} instead of {task['next_run']}"
    return ""


def same_instant(first: Any, second: Any) -> bool:
    if first == second:
        return True
    try:
        was, now = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (first, second))
    except (ValueError, AttributeError):
        return False
    return was == now
