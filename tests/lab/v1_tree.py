"""A NanoClaw v1 on a disk: what an install of a version leaves there, and the traits that make one hard to migrate.

Nothing here runs. Secrets in a tree hold SECRET, so that a test can search for it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from tests.lab.v1_schema import Version, create_tables

SECRET = "HUSH-v1-0815"
WHEN = "2026-03-01T09:00:00.000Z"
_MTIME = 1_772_000_000


class Tree(NamedTuple):
    """An install while it is created: its project root, the home of its user, and its open database."""

    root: Path
    home: Path
    database: sqlite3.Connection

    def group(self, folder: str, jid: str, *, direct: bool = False, config: object = None) -> None:
        """Register a chat, with its memory and one conversation."""
        self.register(folder, jid, direct=direct, config=config)
        self.conversation(folder, f"{folder}-1")
        self.database.execute("INSERT INTO sessions VALUES (?, ?)", (folder, f"{folder}-1"))

    def register(self, folder: str, jid: str, *, direct: bool = False, config: object = None) -> None:
        """Register a chat without a conversation: v1 makes its directory in data/sessions with the first message."""
        says = self.database.execute
        says("INSERT INTO chats (jid, name, is_group) VALUES (?, ?, ?)", (jid, folder.title(), int(not direct)))
        row = (jid, folder.title(), folder, "@Andy", WHEN, json.dumps(config) if config else None)
        says(
            "INSERT INTO registered_groups (jid, name, folder, trigger_pattern, added_at, container_config)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
        self.write(f"groups/{folder}/CLAUDE.md", f"memory of {folder}\n")

    def conversation(self, folder: str, session: str) -> None:
        """Add the messages of an agent and a chat."""
        place = f"data/sessions/{folder}/.claude/projects/-workspace-group/{session}.jsonl"
        self.write(place, json.dumps({"sessionId": session, "text": SECRET}) + "\n")

    def task(self, name: str, kind: str, value: str, folder: str = "main", status: str = "active") -> None:
        """Add a scheduled task of a registered group."""
        (jid,) = self.database.execute("SELECT jid FROM registered_groups WHERE folder = ?", (folder,)).fetchone()
        self.database.execute(
            "INSERT INTO scheduled_tasks (id, group_folder, chat_jid, prompt, schedule_type, schedule_value, next_run,"
            " status, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (name, folder, jid, f"prompt {SECRET}", kind, value, WHEN, status, WHEN),
        )

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the tree."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        os.utime(file, (_MTIME, _MTIME))


def _whatsapp(tree: Tree) -> None:
    for name in ("creds.json", "app-state-sync-key-AAAA.json", "pre-key-1.json"):
        tree.write(f"store/auth/{name}", json.dumps({"key": SECRET}), 0o600)
    tree.group("family", "120363000000000001@g.us")
    tree.group("mother", "4790000001@s.whatsapp.net", direct=True)


def _telegram(tree: Tree) -> None:
    tree.group("club", "tg:-1001234567890")
    tree.task("club-daily", "cron", "0 9 * * *", "club")


def _discord_dm(tree: Tree) -> None:
    tree.group("discord", "dc:1190000000000000001", direct=True)
    tree.task("discord-weekly", "cron", "0 9 * * 1", "discord")


def _interval(tree: Tree) -> None:
    tree.task("heartbeat", "interval", "3600000")


def _tasks(tree: Tree) -> None:
    tree.task("reminder", "once", "2027-01-01T09:00:00")
    tree.task("asleep", "cron", "*/5 * * * *", status="paused")
    tree.task("done", "once", "2026-01-01T09:00:00", status="completed")


def _link(tree: Tree) -> None:
    tree.write("groups/main/notes/today.md", "today\n")
    (tree.root / "groups/main/latest").symlink_to("notes")
    (tree.root / "data/sessions/main/.claude/debug").symlink_to("projects")


def _git(tree: Tree) -> None:
    tree.write("groups/main/code/app/.git/HEAD", "ref: refs/heads/main\n")
    tree.write("groups/main/code/app/CLAUDE.md", "how to work here\n")


def _mounts(tree: Tree) -> None:
    mounts = [{"hostPath": "/srv/papers", "containerPath": "papers", "readonly": True}]
    tree.group("papers", "tg:2002", config={"additionalMounts": mounts})
    roots = {"allowedRoots": [{"path": "/srv/papers", "allowReadWrite": False}], "blockedPatterns": []}
    _of_home(tree, "mount-allowlist.json", {**roots, "nonMainReadOnly": True})


def _senders(tree: Tree) -> None:
    own = {"default": {"allow": ["4790000001"], "mode": "drop"}, "chats": {}, "logDenied": True}
    _of_home(tree, "sender-allowlist.json", own)


def _orphan(tree: Tree) -> None:
    tree.write("groups/forgotten/CLAUDE.md", "nobody asks for this any more\n")
    tree.conversation("forgotten", "forgotten-1")


def _silent(tree: Tree) -> None:
    tree.register("silent", "tg:2222")


def _conversations(tree: Tree) -> None:
    tree.conversation("main", "main-0")


def _skill(tree: Tree) -> None:
    for place in ("container/skills", "data/sessions/main/.claude/skills"):
        tree.write(f"{place}/weather/SKILL.md", "looks at the sky\n")


def _nothing(_tree: Tree) -> None:
    """Do nothing: what lies beside the database is created when the tree is complete."""


TRAITS: dict[str, Callable[[Tree], None]] = {
    "whatsapp": _whatsapp,
    "telegram": _telegram,
    "discord dm": _discord_dm,
    "interval": _interval,
    "tasks": _tasks,
    "link": _link,
    "git": _git,
    "mounts": _mounts,
    "senders": _senders,
    "orphan": _orphan,
    "conversations": _conversations,
    "silent": _silent,
    "skill": _skill,
    "wal": _nothing,
    "journal": _nothing,
}
"""Traits that a tree can have, beside a main group on Telegram with one conversation, a daily task and a .env.

`wal`: its last group, "late", is only in a write-ahead log without a checkpoint. `journal`: v1 was killed while it
wrote, so the database holds groups that were never committed, and a hot journal lies beside it.
"""


def make_tree(root: Path, version: Version = "1.2.53", traits: Iterable[str] = (), home: Path | None = None) -> None:
    """Create an install of a version in a directory that does not exist yet.

    + home: the home of its user, for allow-lists; without one it lies beside the tree
    """
    chosen = list(traits)
    root.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "messages.db", isolation_level=None)
        database.execute("PRAGMA synchronous = OFF")  # the copy is made below; no power fails meanwhile
        create_tables(database, version)
        tree = Tree(root, home or root.parent / "home", database)
        _base(tree, version)
        for trait in chosen:
            TRAITS[trait](tree)
        if version != "1.1.6":
            database.execute("UPDATE registered_groups SET is_main = 1 WHERE folder = 'main'")
        if "wal" in chosen:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA wal_autocheckpoint = 0")
            tree.group("late", "tg:3003")
        if "journal" in chosen:
            _begin_what_is_never_committed(database)
        for path in Path(folder).iterdir():  # while the database is open: its journals are there
            if not path.name.endswith("-shm"):
                (root / "store").mkdir(exist_ok=True)
                shutil.copyfile(path, root / "store" / path.name)
        database.close()


def _base(tree: Tree, version: Version) -> None:
    tree.write("package.json", json.dumps({"name": "nanoclaw", "version": version, "type": "module"}))
    tree.write(".env", f"# keys\nANTHROPIC_API_KEY={SECRET}\nTELEGRAM_BOT_TOKEN='{SECRET}'\nTZ=Europe/Oslo\n", 0o600)
    tree.write("dist/index.js", "process.stdin.resume();\n")
    tree.write("container/skills/agent-browser/SKILL.md", "looks at pages\n")
    tree.write("groups/global/CLAUDE.md", "what all groups know\n")
    tree.write("data/ipc/main/available_groups.json", "[]\n")
    tree.write("data/sessions/main/agent-runner-src/index.ts", "export {};\n")
    tree.write("logs/nanoclaw.log", "started\n")
    tree.group("main", "tg:1001", direct=True)
    tree.write("groups/main/logs/container-1.log", "ran\n")
    tree.task("morning", "cron", "0 7 * * *")


def _begin_what_is_never_committed(database: sqlite3.Connection) -> None:
    """Fill more pages than memory keeps, so that they are written before any commit."""
    database.execute("PRAGMA cache_size = 5")
    database.execute("BEGIN IMMEDIATE")
    for number in range(200):
        row = (f"tg:9{number}", "Phantom", f"phantom-{number}", "x" * 500, WHEN)
        database.execute(
            "INSERT INTO registered_groups (jid, name, folder, trigger_pattern, added_at) VALUES (?, ?, ?, ?, ?)", row
        )


def _of_home(tree: Tree, name: str, content: object) -> None:
    place = tree.home / ".config" / "nanoclaw"
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(json.dumps(content), encoding="utf-8")


def unit_text(root: Path, home: Path) -> str:
    """Return the lines of nanoclaw.service that say what runs where."""
    return (
        f"[Service]\nExecStart=/usr/bin/node {root}/dist/index.js\nWorkingDirectory={root}\nRestart=always\n"
        f"Environment=HOME={home}\n\n[Install]\nWantedBy=default.target\n"
    )
