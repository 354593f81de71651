"""The database of a NanoClaw v1, which is read without a byte being written beside it: for programs that import it.

It may be in use, have a write-ahead log that was never checkpointed, or a hot journal. An agent of the main group can
write it, so it is not trusted either: whatever it holds, the answer comes in time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import time
from typing import Any

from files.programs.printable import shown
from files.programs.v1_view import kind_of

DATABASE = "messages.db"
COPY_AT_MOST = 256 << 20
CHECK_SECONDS = 2  # a lock is held meanwhile, and v1 waits 5 s for one
READ_SECONDS = 20
ROWS, LONGEST = 20000, 20000
COLUMNS = {
    "chats": ("jid", "is_group"),
    "registered_groups": ("jid", "folder", "container_config", "is_main"),
    "scheduled_tasks": ("group_folder", "chat_jid", "schedule_type", "schedule_value", "status"),
    "sessions": ("group_folder",),
}
BESIDE = ("", "-wal", "-journal", "-shm")


class UnreadError(Exception):
    """Why the database cannot be looked into."""


def database(store: str, scratch: str) -> dict[str, Any]:
    """tasks.model.migration.found.Database as JSON, of a store that is seen through v1_view."""
    found: dict[str, Any] = {"state": "missing", "text": "", "bytes": 0, "wal": 0, "journal": 0, "uid": 0}
    found.update(is_main=False, checked=False, groups=[], tasks=[], sessions=[])
    if kind_of(store) != "there":
        return found
    there = {suffix: mark for suffix in BESIDE if (mark := look_at(f"{store}/{DATABASE}{suffix}"))}
    if "" not in there:
        return found
    strange = [DATABASE + suffix for suffix, mark in there.items() if not stat.S_ISREG(mark.st_mode)]
    if strange:
        return {**found, "state": "unread", "text": f"{strange[0]} is a link, or no file"}
    sizes = {suffix: mark.st_size for suffix, mark in there.items()}
    found.update(bytes=sizes[""], wal=sizes.get("-wal", 0), journal=sizes.get("-journal", 0), uid=there[""].st_uid)
    try:
        found.update(contents(store, scratch, found))
    except (UnreadError, OSError, sqlite3.OperationalError) as error:
        found.update(state="unread", text=shown(str(error)))
    except sqlite3.DatabaseError as error:
        found.update(state="corrupt", text=shown(str(error)))
    return found


def look_at(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def contents(store: str, scratch: str, found: dict[str, Any]) -> dict[str, Any]:
    """What the database holds: read in its place, or, where a log or a journal has to be worked in first, from a copy
    in memory."""
    path = f"{store}/{DATABASE}"
    with open(path, "rb") as file:
        logged = file.read(100)[18:20] == b"\2\2"
    # Without a log the file is whole, and a mode without locks needs no index of the log beside it.
    how = "immutable=1" if logged and not found["wal"] else "mode=ro"
    try:
        return rows_of(f"file:{path}?{how}")
    except sqlite3.OperationalError:
        if not found["wal"] and not found["journal"]:
            raise
    copy(store, scratch)
    return rows_of(f"file:{scratch}/{DATABASE}")


def copy(store: str, scratch: str) -> None:
    names = [DATABASE + suffix for suffix in BESIDE[:3] if os.path.lexists(f"{store}/{DATABASE}{suffix}")]
    for _ in range(3):
        before = [marks(f"{store}/{name}") for name in names]
        if sum(mark[0] for mark in before) > min(COPY_AT_MOST, available() // 2):
            raise UnreadError("a log or a journal has to be worked in first, and it is too large for a copy in memory")
        for name in names:
            with open(f"{store}/{name}", "rb") as file, open(f"{scratch}/{name}", "wb") as to:
                while piece := file.read(1 << 20):
                    to.write(piece)
        if [marks(f"{store}/{name}") for name in names] == before:
            return
    raise UnreadError("it changes while it is copied")


def marks(path: str) -> tuple[int, int, int]:
    found = os.lstat(path)
    return found.st_size, found.st_mtime_ns, found.st_ino


def available() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["MemAvailable"].split()[0]) << 10


def rows_of(uri: str) -> dict[str, Any]:
    connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
    with contextlib.closing(connection):
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.row_factory = sqlite3.Row
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
        bound(connection, READ_SECONDS)
        tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "registered_groups" not in tables:
            return {"state": "foreign", "text": f"it has no table registered_groups, but {len(tables)} others"}
        direct = {row["jid"]: row["is_group"] == "0" for row in rows(connection, "chats") if row.get("is_group")}
        answer = {
            "is_main": "is_main" in columns_of(connection, "registered_groups"),
            "groups": [group(row, direct) for row in rows(connection, "registered_groups")],
            "tasks": [task(row, direct) for row in rows(connection, "scheduled_tasks")],
            "sessions": sorted({row["group_folder"] for row in rows(connection, "sessions")}),
        }
        bound(connection, CHECK_SECONDS)
        return {**answer, **check(connection)}


def bound(connection: sqlite3.Connection, seconds: int) -> None:
    """Ends what takes longer from now on."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 5000)


def check(connection: sqlite3.Connection) -> dict[str, Any]:
    try:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return {"state": "read", "checked": False}
    return {"state": "read", "checked": True} if said == "ok" else {"state": "corrupt", "text": shown(said)}


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}


def rows(connection: sqlite3.Connection, table: str) -> list[dict[str, str]]:
    """What a table says in the columns that are asked for, of those that this version of v1 has; none without it."""
    there = columns_of(connection, table)
    wanted = [column for column in COLUMNS[table] if column in there]
    if not wanted:
        return []
    # Cut, since an agent may have written anything of any size.
    cut = ", ".join(f"substr(CAST({column} AS TEXT), 1, {LONGEST}) AS {column}" for column in wanted)
    found = connection.execute(f"SELECT {cut} FROM {table} LIMIT {ROWS}")
    return [{column: row[column] or "" for column in wanted} for row in found]


def group(row: dict[str, str], direct: dict[str, bool]) -> dict[str, Any]:
    folder, jid = row.get("folder", ""), row.get("jid", "")
    main = row["is_main"] == "1" if "is_main" in row else folder == "main"
    mounts = mounts_of(row.get("container_config") or "{}")
    return {"folder": shown(folder), "jid": shown(jid), "main": main, "direct": direct.get(jid), "mounts": mounts}


def mounts_of(config: str) -> list[str]:
    """The directories of the host that a group's agent has beside its own."""
    try:
        found = json.loads(config).get("additionalMounts") or []
        return [shown(str(mount["hostPath"])) for mount in found]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ["(it cannot be read)"]


def task(row: dict[str, str], direct: dict[str, bool]) -> dict[str, Any]:
    names = {"folder": "group_folder", "jid": "chat_jid", "kind": "schedule_type", "value": "schedule_value"}
    said = {key: shown(row.get(column, "")) for key, column in {**names, "status": "status"}.items()}
    return {**said, "direct": direct.get(row.get("chat_jid", ""))}
