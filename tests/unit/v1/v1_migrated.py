"""A NanoClaw v1 that plain copying migrated: the audit runs on it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from files.pods.common.dotenv import V1_HEADING
from files.pods.v1.audit.protocol import AuditRequest
from tests.lab.v1_schema import Version
from tests.lab.v1_tree import SECRET, TRAITS, make_tree
from tests.programs import request_argv

AGENT, HOST = 1000, 1001
"""The uid and gid of the agent and of the host process."""

EVERYTHING = [trait for trait in TRAITS if trait not in ("wal", "journal")]

_CENTRAL = """
CREATE TABLE agent_groups (id TEXT PRIMARY KEY, name TEXT, folder TEXT UNIQUE);
CREATE TABLE messaging_groups (id TEXT PRIMARY KEY, channel_type TEXT, platform_id TEXT);
CREATE TABLE messaging_group_agents (id TEXT PRIMARY KEY, messaging_group_id TEXT, agent_group_id TEXT);
CREATE TABLE sessions (id TEXT PRIMARY KEY, agent_group_id TEXT, messaging_group_id TEXT, thread_id TEXT,
  status TEXT DEFAULT 'active');
"""
_INBOUND = """
CREATE TABLE messages_in (id TEXT PRIMARY KEY, kind TEXT, status TEXT, process_after TEXT, recurrence TEXT,
  content TEXT);
"""
_OUTBOUND = "CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT, updated_at TEXT);"
_CHANNELS = {"tg": "telegram", "dc": "discord:@me"}
_CRONS = {"3600000": "0 */1 * * *"}


class Migrated(NamedTuple):
    """A v1, its v2, and the snapshot of its database."""

    v1: Path
    root: Path
    snapshot: Path
    home: Path

    def session(self, folder: str) -> Path:
        """The directory of the one session of a group; its folder is in the name."""
        return self.root / f"data/v2-sessions/ag-{folder}/sess-{folder}"

    def claude(self, folder: str) -> Path:
        return self.root / f"data/v2-sessions/ag-{folder}/.claude-shared"


@contextlib.contextmanager
def database(path: Path, *tables: str) -> Iterator[sqlite3.Connection]:
    """Open a SQLite database; create it with these tables, if any."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        for table in tables:
            connection.executescript(table)
        yield connection


def change(path: Path, statement: str, *values: object) -> None:
    """Run a statement that must change at least one row."""
    with database(path) as connection:
        assert connection.execute(statement, values).rowcount > 0


def rewrite(path: Path, text: str) -> None:
    """Write other content of the same length and time."""
    before = path.stat()
    path.write_text(text[: before.st_size].ljust(before.st_size, "."))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def at(place: Path) -> Migrated:
    """The paths in a directory."""
    return Migrated(place / "claw", place / "v2", place / "snapshot", place / "home")


def whole(place: Path) -> Migrated:
    """A migrated v1 with all traits, and with files on both sides that are not migrated."""
    it = migrate(place, traits=EVERYTHING)
    for root in (it.v1, it.root):
        (root / "groups/main/node_modules/x").mkdir(parents=True)
    (it.v1 / "groups/main/node_modules/x/index.js").write_text("")
    return it


def migrate(place: Path, version: Version = "1.2.53", traits: Iterable[str] = ()) -> Migrated:
    """Create all of it in a directory."""
    it = at(place)
    make_tree(it.v1, version, traits, it.home)
    shutil.copytree(it.v1 / "store", it.snapshot / "store")
    (it.root / "data").mkdir(parents=True)
    with (
        database(it.snapshot / "store/messages.db") as snapshot,
        database(it.root / "data/v2.db", _CENTRAL) as central,
    ):
        central.execute("PRAGMA journal_mode = WAL")
        for was, cron in _CRONS.items():
            snapshot.execute(
                "UPDATE scheduled_tasks SET schedule_type = 'cron', schedule_value = ? WHERE schedule_value = ?",
                (cron, was),
            )
        groups = snapshot.execute("SELECT * FROM registered_groups").fetchall()
        for group in groups:
            _group(it, central, group["folder"], group["jid"])
        for task in snapshot.execute("SELECT * FROM scheduled_tasks WHERE status <> 'completed'"):
            _task(it, task)
        for folder, conversation in snapshot.execute("SELECT group_folder, session_id FROM sessions").fetchall():
            with database(it.session(folder) / "outbound.db") as outbound:
                values = ("continuation:claude", conversation)
                outbound.execute("INSERT INTO session_state (key, value) VALUES (?, ?)", values)
    _files(it, [group["folder"] for group in groups])
    _owners(it)
    return it


def _group(it: Migrated, central: sqlite3.Connection, folder: str, jid: str) -> None:
    prefix, _colon, name = jid.partition(":")
    channel, platform = ("whatsapp", jid) if "@" in jid else (_CHANNELS[prefix], f"{_CHANNELS[prefix]}:{name}")
    ids = (f"ag-{folder}", f"mg-{folder}", f"sess-{folder}")
    central.execute("INSERT INTO agent_groups VALUES (?, ?, ?)", (ids[0], folder, folder))
    central.execute("INSERT INTO messaging_groups VALUES (?, ?, ?)", (ids[1], channel.partition(":")[0], platform))
    central.execute("INSERT INTO messaging_group_agents VALUES (?, ?, ?)", (f"mga-{folder}", ids[1], ids[0]))
    central.execute(
        "INSERT INTO sessions (id, agent_group_id, messaging_group_id) VALUES (?, ?, ?)", (ids[2], ids[0], ids[1])
    )
    it.session(folder).mkdir(parents=True)
    for name, tables in (("inbound.db", _INBOUND), ("outbound.db", _OUTBOUND)):
        with database(it.session(folder) / name, tables):
            pass


def _task(it: Migrated, task: sqlite3.Row) -> None:
    row: dict[str, Any] = dict(task)
    content = json.dumps({"prompt": row["prompt"], "script": row.get("script")})
    recurrence = row["schedule_value"] if row["schedule_type"] == "cron" else None
    status = "paused" if row["status"] == "paused" else "pending"
    with database(it.session(row["group_folder"]) / "inbound.db") as inbound:
        values = (row["id"], "task", status, row["next_run"], recurrence, content)
        inbound.execute("INSERT INTO messages_in VALUES (?, ?, ?, ?, ?, ?)", values)


def _left_out(folder: str, names: list[str]) -> list[str]:
    top = Path(folder).parent.name == "groups" and Path(folder).parent.parent.name == "claw"
    return [name for name in names if name == "node_modules" or (top and name in ("CLAUDE.md", "logs"))]


def _files(it: Migrated, folders: list[str]) -> None:
    shutil.copytree(it.v1 / "groups", it.root / "groups", symlinks=True, ignore=_left_out)
    for memory in (it.v1 / "groups").glob("*/CLAUDE.md"):
        text = memory.read_text(encoding="utf-8")
        if memory.parent.name == "global":
            for folder in folders:
                if folder != "main":
                    (it.root / "groups" / folder / "CLAUDE.global.md").write_text(text)
        else:
            first = "" if memory.parent.name in ("main", "forgotten") else "@./CLAUDE.global.md\n"
            (it.root / "groups" / memory.parent.name / "CLAUDE.local.md").write_text(first + text)
    for folder in folders:
        if not (it.v1 / f"data/sessions/{folder}").exists():
            continue
        shutil.copytree(it.v1 / f"data/sessions/{folder}/.claude", it.claude(folder), symlinks=True)
        (it.claude(folder) / "projects/-workspace-group").rename(it.claude(folder) / "projects/-workspace-agent")
        shutil.rmtree(it.claude(folder) / "skills", ignore_errors=True)
    if (it.v1 / "store/auth").exists():
        shutil.copytree(it.v1 / "store/auth", it.root / "store/auth")
    shutil.copytree(it.v1 / "container/skills", it.root / "container/skills")
    (it.root / ".env").write_text(f"ONECLI_URL=http://x\n\n{V1_HEADING}\n" + (it.v1 / ".env").read_text())
    (it.root / ".env").chmod(0o600)


def _owners(it: Migrated) -> None:
    for path in (it.root / ".env", *(it.root / "store").rglob("*")):
        os.chown(path, HOST, HOST)
    for tree in (it.root / "groups", it.root / "data/v2-sessions"):
        for path in tree.rglob("*"):
            os.chown(path, AGENT, AGENT, follow_symlinks=False)


def run(it: Migrated, **more: Any) -> subprocess.CompletedProcess[str]:
    places, agent, host = (str(it.v1), str(it.root), str(it.snapshot)), (AGENT, AGENT), (HOST, HOST)
    request = AuditRequest(*places, agent, host, False, seconds=60, left=[], env_set=[], lists=None)
    return subprocess.run(request_argv(replace(request, **more)), capture_output=True, text=True, timeout=120)


def ask(it: Migrated, **more: Any) -> dict[str, Any]:
    """Return the program's reply, run as a machine runs it."""
    done = run(it, **more)
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in done.stdout
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def lost(it: Migrated, **more: Any) -> dict[str, str]:
    answer = ask(it, **more)
    assert answer["more"] == {"lost": 0, "left": 0}
    return {one["what"]: one["why"] for one in answer["lost"]}
