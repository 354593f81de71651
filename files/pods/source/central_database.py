"""NanoClaw's central database, data/v2.db: its schema and copies of it.

Callers run as the host user, who owns these files. SQLite's backup API makes a whole copy while the service writes.
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

from files.pods.common.atomic_write import rename_to_disk
from files.pods.common.read_untrusted import read_untrusted_text

COPIES = ".git/nanoclaw-pods-database"
"""Directory of the copies: in .git, it moves to a new host user with the checkout, and git ignores it."""
KEPT = 5
SPARE_BYTES = 64 << 20
"""Bytes that stay free beside a copy."""


def database(root: str) -> str | None:
    """Return the path of the central database, if there is one. Raises OSError for anything else in its place."""
    path = os.path.join(root, "data/v2.db")
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(info.st_mode):
        raise OSError(f"{path} is no regular file")
    return path if info.st_size else None


def connect(path: str, *, copying: bool = False) -> sqlite3.Connection:
    """Open a database for reading. Creates no file beside it: without a write-ahead log nobody writes.

    + copying: whether SQLite may recover the log
    """
    how = "mode=rw" if copying else "mode=ro" if os.path.exists(path + "-wal") else "immutable=1"
    return sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, timeout=30)


def migrations(path: str) -> list[str]:
    """Return the names of the applied migrations (schema_version); none without that table."""
    with closing(connect(path)) as connection:
        has = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
        if connection.execute(has).fetchone() is None:
            return []
        rows = connection.execute("SELECT name FROM schema_version ORDER BY rowid LIMIT 500").fetchall()
    return [str(row[0])[:200] for row in rows if "\0" not in str(row[0])]


def make_copy(root: str, commit: str, version: str, name: str | None = None) -> str | None:
    """Copy the database that a commit runs with; return the path, or None without a database.

    Older copies are removed: those before a move by such copies, and those that a copy replaced by their like.

    + commit: empty for a copy that does not precede a move
    + name: the name of the copy; else it replaces the last one of the commit
    """
    source = database(root)
    if source is None:
        return None
    folder = os.path.join(root, COPIES)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    size = sum(os.path.getsize(source + end) for end in ("", "-wal") if os.path.exists(source + end))
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < size + SPARE_BYTES:
        raise OSError(f"no room in {folder} for a copy of {source} ({size >> 20} MiB)")
    path = os.path.join(folder, (name or commit[:12]) + ".db")
    for end in ("", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(path + ".new" + end)
    os.close(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    with closing(connect(source, copying=True)) as there, closing(sqlite3.connect(path + ".new")) as here:
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
    rename_to_disk(path + ".json.new", path + ".json")
    like = [one for one in copies(root) if bool(one["commit"]) == bool(commit)]
    for old in like[KEPT:]:
        for end in ("", ".json"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, old["file"] + end))
    return path


def copies(root: str) -> list[dict[str, Any]]:
    """Return the copies, newest first: {"file", "commit", "version", "made", "migrations"}."""
    folder, listed = os.path.join(root, COPIES), []
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
                listed.append({**text, "file": name, "made": made, "migrations": applied})
    return sorted(listed, key=lambda one: -one["made"])
