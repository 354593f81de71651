"""Fix up a NanoClaw v2: add what its own migration steps lost of v1, from the snapshot that they read.

Reply: {"continuations", "policies", "memories", "global", "env": numbers,
"tasks_inserted", "tasks_updated", "tasks_removed", "paused": [ids], "left": [{"what", "why"}]}. Runs as the host user,
after the steps and before v2 serves. Repeats safely: continuations, policies, global and paused are the state now, the
others are the changes of this run. Creates no database, and follows no link below v2-sessions or groups.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from datetime import datetime, timezone
from typing import Any, NamedTuple

from files.pods.common.atomic_write import replace
from files.pods.common.dotenv import V1_HEADING, effective_entries, merge_entries
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.sanitize import escape_control
from files.pods.v1.memory import memories_of, settle_memory
from files.pods.v1.protocol import FixUpRequest
from files.pods.v1.rules import chat_among
from files.pods.v1.tasks import DesiredTask, UnusableError, desired_task, open_database, settle_tasks, text_of_value

SECONDS = 600
KEY = "continuation:claude"
NO_CHAT = "v2 has no such chat"


class Session(NamedTuple):
    """A session of v2 with a chat."""

    id: str
    agent: str
    chat: str
    serves: bool
    """Whether tasks of the chat run in it: it is active, and of no thread."""


class FixUp:
    """The rows of the snapshot, the rows of v2, and the answer."""

    def __init__(self, snapshot: str, root: str) -> None:
        self.snapshot, self.root = snapshot, root
        with contextlib.closing(open_database(f"{snapshot}/store/messages.db")) as old:
            self.groups = [dict(row) for row in old.execute("SELECT * FROM registered_groups")]
            self.tasks = [dict(row) for row in old.execute("SELECT * FROM scheduled_tasks WHERE status = 'active'")]
            self.current = {row["group_folder"]: row["session_id"] for row in old.execute("SELECT * FROM sessions")}
            self.paused = {row["id"] for row in old.execute("SELECT id FROM paused")}
        with contextlib.closing(open_database(f"{root}/data/v2.db")) as central:
            self.agents = {row["folder"]: row["id"] for row in central.execute("SELECT id, folder FROM agent_groups")}
            chats = central.execute("SELECT id, channel_type, platform_id FROM messaging_groups ORDER BY id")
            self.chats = [(row["id"], row["channel_type"], row["platform_id"]) for row in chats]
            with_chat = "SELECT * FROM sessions WHERE messaging_group_id IS NOT NULL ORDER BY created_at, id"
            self.sessions = [
                Session(
                    row["id"],
                    row["agent_group_id"],
                    row["messaging_group_id"],
                    row["thread_id"] is None and row["status"] == "active",
                )
                for row in central.execute(with_chat)
            ]
        numbers = dict.fromkeys(("continuations", "policies", "memories", "global", "env"), 0)
        lists = ("tasks_inserted", "tasks_updated", "tasks_removed", "paused", "left")
        self.answer: dict[str, Any] = {**numbers, **{name: [] for name in lists}}

    def skip(self, what: str, why: str) -> None:
        """Add a thing to the answer that is skipped."""
        self.answer["left"].append({"what": escape_control(what), "why": escape_control(why)})

    def group_sessions(self) -> list[tuple[str, Session]]:
        """Return the sessions of registered groups, each with its folder."""
        folders = {self.agents[row["folder"]]: row["folder"] for row in self.groups if row["folder"] in self.agents}
        return [(folders[session.agent], session) for session in self.sessions if session.agent in folders]

    def directory(self, session: Session) -> str:
        """Return the directory of a session. An agent may own it and the one above it."""
        path = f"{self.root}/data/v2-sessions"
        for name in (session.agent, session.id):
            path = f"{path}/{name}"
            if os.path.islink(path) or not os.path.isdir(path):
                raise UnusableError(f"{path} is a link, or no directory")
        return path

    def set_conversations(self) -> None:
        """Make v1's current conversation v2's; without a current one, a new one begins."""
        for folder, session in self.group_sessions():
            current = text_of_value(self.current.get(folder))
            try:
                with contextlib.closing(open_database(f"{self.directory(session)}/outbound.db")) as outbound, outbound:
                    set_continuation(outbound, current)
                self.answer["continuations"] += bool(current)
            except UnusableError as error:
                self.skip(f"conversation of {folder} in {session.id}", str(error))

    def set_tasks(self) -> None:
        """Make the tasks of each session those of v1."""
        desired: dict[str, list[DesiredTask]] = {}
        for task in self.tasks:
            chat = chat_among(text_of_value(task["chat_jid"]), self.chats)
            agent = self.agents.get(task["group_folder"])
            there = [it.id for it in self.sessions if chat and it.serves and (it.agent, it.chat) == (agent, chat[0])]
            one = desired_task(task, chat, task["id"] in self.paused) if chat else None
            if agent is None or chat is None:
                self.skip(f"task {task['id']}", NO_CHAT if agent else "v2 has no such group")
            elif one is None:
                self.skip(f"task {task['id']}", "v1 itself could not schedule it")
            elif not there:
                self.skip(f"task {task['id']}", "its group has no session in its chat")
            else:
                desired.setdefault(there[0], []).append(one)
        for _folder, session in self.group_sessions():
            try:
                settle_tasks(self.directory(session), desired.get(session.id, []), self.answer)
            except UnusableError as error:
                for one in desired.get(session.id, []):
                    self.skip(f"task {one.task['id']}", str(error))

    def set_policies(self, policy: str) -> None:
        """Set whom v2 answers in each chat of v1."""
        with contextlib.closing(open_database(f"{self.root}/data/v2.db")) as central, central:
            central.execute("BEGIN IMMEDIATE")
            for jid in (row["jid"] for row in self.groups):
                if (chat := chat_among(jid, self.chats)) is None:
                    self.skip(f"policy of {jid}", NO_CHAT)
                    continue
                statement = "UPDATE messaging_groups SET unknown_sender_policy = ? WHERE id = ?"
                central.execute(statement, (policy, chat[0]))
                self.answer["policies"] += 1

    def set_memory(self) -> None:
        """Make the memory of groups that of v1."""
        others = [folder for folder in memories_of(self.groups) if folder in self.agents]
        settle_memory(self.snapshot, self.root, others, self.answer)


def set_continuation(outbound: sqlite3.Connection, session: str) -> None:
    """Write which conversation a session resumes; remove it for an empty one."""
    outbound.execute("BEGIN IMMEDIATE")
    if not outbound.execute("SELECT 1 FROM sqlite_master WHERE name = 'session_state'").fetchone():
        if session:
            raise UnusableError("outbound.db has no table session_state")
        return
    row = outbound.execute("SELECT value FROM session_state WHERE key = ?", (KEY,)).fetchone()
    if not session:
        outbound.execute("DELETE FROM session_state WHERE key = ?", (KEY,))
    elif row is None or row["value"] != session:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        statement = "INSERT OR REPLACE INTO session_state (key, value, updated_at) VALUES (?, ?, ?)"
        outbound.execute(statement, (KEY, session, now))


def settle_env(snapshot: str, root: str, kept: set[str]) -> int:
    """Set the entries of .env that came from v1 to v1's values now; entries before the heading stay. Return how many.

    NanoClaw's own step changes no entry that is there, even an empty one.
    """
    try:
        desired = effective_entries(read_untrusted_bytes(f"{snapshot}/.env").decode("utf-8", "surrogateescape"))
        text = read_untrusted_bytes(f"{root}/.env").decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return 0
    before, mark, after = text.partition(V1_HEADING)
    there, own = effective_entries(text), kept | set(effective_entries(before))
    new = {name: value for name, value in desired.items() if name not in own and there.get(name) != value}
    if new:
        if not mark:
            before = before.rstrip("\n") + "\n\n"
        whole = f"{before}{V1_HEADING}\n{merge_entries(after.removeprefix(chr(10)), new)}"
        replace(f"{root}/.env", whole.encode("utf-8", "surrogateescape"), 0o600)
    return len(new)


def fix_up(request: FixUpRequest) -> dict[str, Any]:
    """Fix up all parts; return the answer."""
    snapshot, root = request.snapshot.rstrip("/"), request.root.rstrip("/")
    try:
        fixes = FixUp(snapshot, root)
    except UnusableError as error:
        sys.exit(f"{root} or {snapshot}: {error}; NanoClaw's own steps run first")
    fixes.set_conversations()
    fixes.set_tasks()
    if request.unknown_senders is not None:
        fixes.set_policies(request.unknown_senders)
    fixes.set_memory()
    fixes.answer["env"] = settle_env(snapshot, root, set(request.env_set))
    return fixes.answer


if __name__ == "__main__":
    request = read_request(FixUpRequest)
    run_with_deadline(SECONDS, request.root)
    become_user(request.user, request.uid, request.gid)
    print(json.dumps(fix_up(request)))
