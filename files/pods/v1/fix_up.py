"""Puts right in a NanoClaw v2 what its own migration steps have lost of v1, from the view that they were given.

Argument: {"view", "root": project root of v2, "user", "uid", "gid": of the host user, "unknown_senders": "public",
"strict" or "request_approval", for every chat that v1 has by now; or null, "env_set": names in .env that the role
sets}. Answer: {"continuations", "policies", "memories", "global", "env": numbers, "tasks_inserted", "tasks_updated",
"tasks_removed", "paused": [ids], "left": [{"what", "why"}]}. Runs as the host user, after the steps and before v2
serves. Repeats safely: continuations, policies, global and paused say what holds now, the others what this run has
changed. No database is made, and no link below v2-sessions or groups followed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from files.pods.common.atomic_write import replace
from files.pods.common.dotenv import V1_HEADING, effective_entries, merge_entries
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.sanitize import escape_control
from files.pods.v1.memory import memories_of, settle_memory
from files.pods.v1.rules import chat_among
from files.pods.v1.tasks import UnusableError, Wanted, opened, settle_tasks, text_of_value, wanted_of

SECONDS = 600
POLICIES = ("public", "strict", "request_approval")
KEY = "continuation:claude"
NO_CHAT = "v2 has no such chat"


class Session(NamedTuple):
    """A session of v2 that has a chat."""

    id: str
    agent: str
    chat: str
    serves: bool
    """Whether it is the one in which a task of the chat is done: active, and of no thread."""


class Corrections:
    """What the view says, what v2 has, and the answer."""

    def __init__(self, view: str, root: str) -> None:
        self.view, self.root = view, root
        with contextlib.closing(opened(f"{view}/store/messages.db")) as old:
            self.groups = [dict(row) for row in old.execute("SELECT * FROM registered_groups")]
            self.tasks = [dict(row) for row in old.execute("SELECT * FROM scheduled_tasks WHERE status = 'active'")]
            self.goes_on = {row["group_folder"]: row["session_id"] for row in old.execute("SELECT * FROM sessions")}
            self.paused = {row["id"] for row in old.execute("SELECT id FROM paused")}
        with contextlib.closing(opened(f"{root}/data/v2.db")) as central:
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

    def leave(self, what: str, why: str) -> None:
        self.answer["left"].append({"what": escape_control(what), "why": escape_control(why)})

    def of_groups(self) -> list[tuple[str, Session]]:
        """The sessions of registered groups, each with its folder."""
        folders = {self.agents[row["folder"]]: row["folder"] for row in self.groups if row["folder"] in self.agents}
        return [(folders[session.agent], session) for session in self.sessions if session.agent in folders]

    def place(self, session: Session) -> str:
        """The directory of a session. The one above it may be an agent's as well."""
        path = f"{self.root}/data/v2-sessions"
        for name in (session.agent, session.id):
            path = f"{path}/{name}"
            if os.path.islink(path) or not os.path.isdir(path):
                raise UnusableError(f"{path} is a link, or no directory")
        return path

    def conversations(self) -> None:
        """The conversation that goes on is the one that v1 noted; where it noted none, a new one begins."""
        for folder, session in self.of_groups():
            noted = text_of_value(self.goes_on.get(folder))
            try:
                with contextlib.closing(opened(f"{self.place(session)}/outbound.db")) as outbound, outbound:
                    go_on(outbound, noted)
                self.answer["continuations"] += bool(noted)
            except UnusableError as error:
                self.leave(f"conversation of {folder} in {session.id}", str(error))

    def scheduled(self) -> None:
        wanted: dict[str, list[Wanted]] = {}
        for task in self.tasks:
            chat = chat_among(text_of_value(task["chat_jid"]), self.chats)
            agent = self.agents.get(task["group_folder"])
            there = [it.id for it in self.sessions if chat and it.serves and (it.agent, it.chat) == (agent, chat[0])]
            one = wanted_of(task, chat, task["id"] in self.paused) if chat else None
            if agent is None or chat is None:
                self.leave(f"task {task['id']}", NO_CHAT if agent else "v2 has no such group")
            elif one is None:
                self.leave(f"task {task['id']}", "its schedule is none that v1 could follow")
            elif not there:
                self.leave(f"task {task['id']}", "its group has no session in its chat")
            else:
                wanted.setdefault(there[0], []).append(one)
        for _folder, session in self.of_groups():
            try:
                settle_tasks(self.place(session), wanted.get(session.id, []), self.answer)
            except UnusableError as error:
                for one in wanted.get(session.id, []):
                    self.leave(f"task {one.task['id']}", str(error))

    def policies(self, policy: str) -> None:
        with contextlib.closing(opened(f"{self.root}/data/v2.db")) as central, central:
            central.execute("BEGIN IMMEDIATE")
            for jid in (row["jid"] for row in self.groups):
                if (chat := chat_among(jid, self.chats)) is None:
                    self.leave(f"policy of {jid}", NO_CHAT)
                    continue
                words = "UPDATE messaging_groups SET unknown_sender_policy = ? WHERE id = ?"
                central.execute(words, (policy, chat[0]))
                self.answer["policies"] += 1

    def memory(self) -> None:
        others = [folder for folder in memories_of(self.groups) if folder in self.agents]
        settle_memory(self.view, self.root, others, self.answer)


def go_on(outbound: sqlite3.Connection, session: str) -> None:
    outbound.execute("BEGIN IMMEDIATE")
    if not outbound.execute("SELECT 1 FROM sqlite_master WHERE name = 'session_state'").fetchone():
        if session:
            raise UnusableError("outbound.db has no table session_state")
        return
    found = outbound.execute("SELECT value FROM session_state WHERE key = ?", (KEY,)).fetchone()
    if not session:
        outbound.execute("DELETE FROM session_state WHERE key = ?", (KEY,))
    elif found is None or found["value"] != session:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        words = "INSERT OR REPLACE INTO session_state (key, value, updated_at) VALUES (?, ?, ?)"
        outbound.execute(words, (KEY, session, now))


def settle_env(view: str, root: str, kept: set[str]) -> int:
    """Have the entries that came from v1 say what v1's say by now; what v2 had before that mark stays.

    NanoClaw's own step changes none that is there, and takes an empty one for one that is.
    """
    try:
        wanted = effective_entries(read_untrusted_bytes(f"{view}/.env").decode("utf-8", "surrogateescape"))
        text = read_untrusted_bytes(f"{root}/.env").decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return 0
    before, mark, after = text.partition(V1_HEADING)
    there, own = effective_entries(text), kept | set(effective_entries(before))
    new = {name: value for name, value in wanted.items() if name not in own and there.get(name) != value}
    if new:
        if not mark:
            before = before.rstrip("\n") + "\n\n"
        whole = f"{before}{V1_HEADING}\n{merge_entries(after.removeprefix(chr(10)), new)}"
        replace(f"{root}/.env", whole.encode("utf-8", "surrogateescape"), 0o600)
    return len(new)


def corrected(view: str, root: str, unknown_senders: str | None, kept: Sequence[str] = ()) -> dict[str, Any]:
    if unknown_senders is not None and unknown_senders not in POLICIES:
        sys.exit(f"unknown_senders: {escape_control(unknown_senders)} is none of {', '.join(POLICIES)}")
    try:
        corrections = Corrections(view, root)
    except UnusableError as error:
        sys.exit(f"{root} or {view}: {error}; NanoClaw's own steps have to come first")
    corrections.conversations()
    corrections.scheduled()
    if unknown_senders is not None:
        corrections.policies(unknown_senders)
    corrections.memory()
    corrections.answer["env"] = settle_env(view, root, set(kept))
    return corrections.answer


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    run_with_deadline(SECONDS, told["root"])
    become_user(told["user"], told["uid"], told["gid"])
    print(
        json.dumps(
            corrected(told["view"].rstrip("/"), told["root"].rstrip("/"), told["unknown_senders"], told["env_set"])
        )
    )
