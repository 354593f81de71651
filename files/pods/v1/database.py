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
from collections.abc import Callable, Iterable
from typing import Any

from files.pods.common.read_untrusted import open_regular, read_chunks
from files.pods.common.sanitize import escape_control
from files.pods.v1.snapshot_dir import kind_of

DATABASE = "messages.db"
COPY_AT_MOST = 256 << 20
CHECK_SECONDS = 2  # a lock is held meanwhile, and v1 waits 5 s for one
READ_SECONDS = 20
ROWS, LONGEST = 20000, 20000
LIMIT_LENGTH = 0  # SQLITE_LIMIT_LENGTH, which Python names from 3.11 on
MOST_BYTES, MOST_TABLES = 64 << 20, 1000
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
    """tasks.model.migration.v1_state.Database as JSON, of a store that is seen through v1_view."""
    found: dict[str, Any] = {"state": "missing", "text": "", "bytes": 0, "wal": 0, "journal": 0, "uid": 0}
    found.update(is_main=False, checked=False, groups=[], tasks=[], sessions=[])
    if kind_of(store) != "there":
        return found
    try:
        there = files_of(store)
        if "" not in there:
            return found
        sizes = {suffix: mark.st_size for suffix, mark in there.items()}
        found.update(bytes=sizes[""], wal=sizes.get("-wal", 0), journal=sizes.get("-journal", 0), uid=there[""].st_uid)
        found.update(contents(store, scratch, rows_of, min(COPY_AT_MOST, available() // 2)))
    except (UnreadError, OSError, sqlite3.OperationalError, sqlite3.DataError) as error:  # DataError: it is too big
        found.update(state="unread", text=escape_control(str(error)))
    except sqlite3.DatabaseError as error:
        found.update(state="corrupt", text=escape_control(str(error)))
    return found


def look_at(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def files_of(store: str) -> dict[str, os.stat_result]:
    """The database and what lies beside it, by suffix."""
    there = {suffix: mark for suffix in BESIDE if (mark := look_at(f"{store}/{DATABASE}{suffix}"))}
    for suffix, mark in there.items():
        if not stat.S_ISREG(mark.st_mode):
            raise UnreadError(f"{DATABASE}{suffix} is a link, or no file")
    return there


def contents(store: str, scratch: str, work: Callable[[str], Any], most: int | None = None) -> Any:
    """What `work` makes of the database, of which it is given a URI: in its place, or, where a log or a journal has to
    be worked in first, of a copy in `scratch`.

    v1 may serve meanwhile. In its place SQLite's own locks keep what is read together, also on a mount that cannot be
    written (fcntl locks do not need that; a log is read with its index, if v1 has one open). What is read or copied
    without a lock counts only if no file has changed meanwhile.

    + most: bytes of a copy
    """
    path = f"{store}/{DATABASE}"
    logged = head_of(path)[18:20] == b"\2\2"
    there = files_of(store)
    log, journal = (there[suffix].st_size if suffix in there else 0 for suffix in ("-wal", "-journal"))
    if logged and not log:
        # The file is whole without a log, and a mode without locks needs no index of the log beside it.
        return unchanged(store, lambda: work(f"file:{path}?immutable=1"))
    try:
        return work(f"file:{path}?mode=ro")
    except sqlite3.OperationalError:
        if not log and not journal:
            raise
    unchanged(store, lambda: copy(store, scratch, most))
    return work(f"file:{scratch}/{DATABASE}")


def unchanged(store: str, work: Callable[[], Any]) -> Any:
    """What `work` returns during which no file of the database changed."""
    for _ in range(3):
        before = marks(store)
        time.sleep(0.05)  # a write of the same tick of the file system's clock is over then
        answer = work()
        if marks(store) == before:
            return answer
    raise UnreadError("it changes while it is read")


def head_of(path: str) -> bytes:
    handle = open_regular(path)
    try:
        return os.read(handle, 100)
    finally:
        os.close(handle)


def copy(store: str, scratch: str, most: int | None) -> None:
    there = files_of(store)
    free = os.statvfs(scratch)
    left = min(most if most is not None else 1 << 62, free.f_bavail * free.f_frsize)
    if sum(there[suffix].st_size for suffix in BESIDE[:3] if suffix in there) > left:
        where = " in memory" if most is not None else ""
        raise UnreadError(f"a log or a journal has to be worked in first, and it is too large for a copy{where}")
    for suffix in BESIDE[:3]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{scratch}/{DATABASE}{suffix}")
        if suffix in there:
            with open(f"{scratch}/{DATABASE}{suffix}", "xb") as to:
                for piece in read_chunks(open_regular(f"{store}/{DATABASE}{suffix}"), left):
                    left -= to.write(piece)


def marks(store: str) -> dict[str, tuple[int, int, int]]:
    there = files_of(store)
    return {suffix: (it.st_size, it.st_mtime_ns, it.st_ino) for suffix, it in there.items() if suffix in BESIDE[:3]}


def available() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["MemAvailable"].split()[0]) << 10


def connected(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    connection.row_factory = sqlite3.Row
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}")
    if hasattr(connection, "setlimit"):  # Python 3.11; the child's memory is bounded as well
        connection.setlimit(LIMIT_LENGTH, MOST_BYTES)
    bound(connection, READ_SECONDS)
    return connection


def rows_of(uri: str) -> dict[str, Any]:
    with contextlib.closing(connected(uri)) as connection:
        tables = tables_in(connection)
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
    return {"state": "read", "checked": True} if said == "ok" else {"state": "corrupt", "text": escape_control(said)}


def tables_in(connection: sqlite3.Connection) -> set[str]:
    """The tables proper: a view says what its author has it compute."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    return {row["name"] for row in found.fetchmany(MOST_TABLES)}


def taken(rows: Iterable[sqlite3.Row], table: str) -> list[sqlite3.Row]:
    """All rows of an answer, as long as they hold no more than MOST_BYTES: columns that take no room in a file may."""
    found, size = [], 0
    for row in rows:
        size += 64 + sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
        if size > MOST_BYTES:
            raise UnreadError(f"its table {table} holds more than {MOST_BYTES >> 20} MiB")
        found.append(row)
    return found


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}


def rows(connection: sqlite3.Connection, table: str) -> list[dict[str, str]]:
    """What a table says in the columns that are asked for, of those that this version of v1 has; none without it."""
    there = columns_of(connection, table) if table in tables_in(connection) else set()
    wanted = [column for column in COLUMNS[table] if column in there]
    if not wanted:
        return []
    # Cut, since an agent may have written anything of any size.
    cut = ", ".join(f"substr(CAST({column} AS TEXT), 1, {LONGEST}) AS {column}" for column in wanted)
    found = taken(connection.execute(f"SELECT {cut} FROM {table} LIMIT {ROWS}"), table)
    return [{column: row[column] or "" for column in wanted} for row in found]


def group(row: dict[str, str], direct: dict[str, bool]) -> dict[str, Any]:
    folder, jid = row.get("folder", ""), row.get("jid", "")
    main = row["is_main"] == "1" if "is_main" in row else folder == "main"
    mounts = mounts_of(row.get("container_config") or "{}")
    return {
        "folder": escape_control(folder),
        "jid": escape_control(jid),
        "main": main,
        "direct": direct.get(jid),
        "mounts": mounts,
    }


def mounts_of(config: str) -> list[str]:
    """The directories of the host that a group's agent has beside its own."""
    try:
        found = json.loads(config).get("additionalMounts") or []
        return [escape_control(str(mount["hostPath"])) for mount in found]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ["(it cannot be read)"]


def task(row: dict[str, str], direct: dict[str, bool]) -> dict[str, Any]:
    names = {"folder": "group_folder", "jid": "chat_jid", "kind": "schedule_type", "value": "schedule_value"}
    said = {key: escape_control(row.get(column, "")) for key, column in {**names, "status": "status"}.items()}
    return {**said, "direct": direct.get(row.get("chat_jid", ""))}
