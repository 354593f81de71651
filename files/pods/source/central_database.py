"""NanoClaw's central database, data/v2.db: its schema and copies of it.

They work as the host user, whose files these are. SQLite's backup API makes a copy whole while the service writes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

from files.pods.common.read_untrusted import read_untrusted_text

COPIES = ".git/nanoclaw-pods-database"
"""Directory of the copies: beside the repository it goes with the checkout to a new host user, and git ignores it."""
KEPT = 5
ROOM = 64 << 20
"""Bytes that stay free beside a copy."""


def database(root: str) -> str | None:
    """The central database, if there is one. Raises OSError for anything else in its place."""
    path = os.path.join(root, "data/v2.db")
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(info.st_mode):
        raise OSError(f"{path} is no regular file")
    return path if info.st_size else None


def opened(path: str, *, copying: bool = False) -> sqlite3.Connection:
    """For reading. A look makes nothing beside it: without a log there nobody writes."""
    how = "mode=rw" if copying else "mode=ro" if os.path.exists(path + "-wal") else "immutable=1"
    return sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, timeout=30)


def migrations(path: str) -> list[str]:
    """The names of the migrations that were applied (schema_version); none where it keeps no list."""
    with closing(opened(path)) as connection:
        has = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
        if connection.execute(has).fetchone() is None:
            return []
        rows = connection.execute("SELECT name FROM schema_version ORDER BY rowid LIMIT 500").fetchall()
    return [str(row[0])[:200] for row in rows if "\0" not in str(row[0])]


def make_copy(root: str, commit: str, version: str, name: str | None = None) -> str | None:
    """Copies the database as it is while a commit runs; says where, or None where there is none.

    + name: what the copy is called, if it is not one from before a move; then no other one goes
    """
    source = database(root)
    if source is None:
        return None
    folder = os.path.join(root, COPIES)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    size = sum(os.path.getsize(source + end) for end in ("", "-wal") if os.path.exists(source + end))
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < size + ROOM:
        raise OSError(f"no room in {folder} for a copy of {source} ({size >> 20} MiB)")
    path = os.path.join(folder, (name or commit[:12]) + ".db")
    for end in ("", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(path + ".new" + end)
    os.close(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with closing(opened(source, copying=True)) as there, closing(sqlite3.connect(path + ".new")) as here:
        there.backup(here)
        here.execute("PRAGMA journal_mode = DELETE")
        if (verdict := here.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            raise OSError(f"the copy of {source} is not whole: {verdict}")
    about = {"commit": commit, "version": version, "made": time.time(), "migrations": migrations(path + ".new")}
    with open(path + ".new", "rb+") as file:
        os.fsync(file.fileno())
    with open(path + ".json.new", "w", encoding="utf-8") as file:
        json.dump(about, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)
    os.rename(path + ".json.new", path + ".json")
    for old in [] if name else copies(root)[KEPT:]:
        for end in ("", ".json"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, old["file"] + end))
    return path


def copies(root: str) -> list[dict[str, Any]]:
    """What copies there are, the newest first: {"file", "commit", "version", "made", "migrations"}."""
    folder, found = os.path.join(root, COPIES), []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        if name.endswith(".db"):
            with suppress(ValueError, TypeError, KeyError):
                content = json.loads(read_untrusted_text(os.path.join(folder, name + ".json")) or "")
                made, applied = float(content["made"]), [str(one) for one in content["migrations"]]
                text = {key: str(content[key])[:60] for key in ("commit", "version")}
                found.append({**text, "file": name, "made": made, "migrations": applied})
    return sorted(found, key=lambda one: -one["made"])
