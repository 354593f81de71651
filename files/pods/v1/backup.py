"""Back up the database of a NanoClaw v1, which may serve meanwhile: SQLite's online backup, checked.

Creates messages.db in the directory, 0600 and owned by root, in one rename, after
`PRAGMA integrity_check` has passed. Writes nothing in v1 (files/pods/v1/database.py). Replaces a backup that is there:
it belongs to the attempt that is resumed. Answer: {"bytes", "sha256"}.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import sqlite3
import sys
from typing import Any

from files.pods.common.protocol import read_request
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.v1.database import BESIDE, DATABASE, contents, files_of
from files.pods.v1.protocol import BackupRequest
from files.pods.v1.queries import UnreadError
from files.pods.v1.snapshot_dir import enter_read_only

SECONDS = 3 * 3600
GROWTH = 1 << 30
"""Bytes that v1 may write meanwhile."""
PAGES = 4096
"""Copied in one step; if v1 writes between two steps, SQLite restarts the copy."""


def back_up(uri: str, to: str) -> None:
    """Copy a database and check the copy; raise UnreadError if it is not sound."""
    source, copy = sqlite3.connect(uri, uri=True, timeout=30), sqlite3.connect(to)
    with contextlib.closing(source), contextlib.closing(copy):
        source.backup(copy, pages=PAGES)
        copy.execute("PRAGMA journal_mode = DELETE")
        (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
        if answer != "ok":
            raise UnreadError(f"the backup is not sound: {answer}")


def fill(v1: str, new: str) -> None:
    """Fill the new directory. Call it in a child process: it changes the mounts of its process."""
    root, scratch = enter_read_only(v1, new)
    bound_writes(f"{root}/store", scratch)
    os.mkdir(f"{scratch}/copy")
    contents(f"{root}/store", f"{scratch}/copy", lambda uri: back_up(uri, f"{scratch}/{DATABASE}"))
    shutil.rmtree(f"{scratch}/copy")


def bound_writes(store: str, scratch: str) -> None:
    """Limit the size of files that this process writes to the database's size, for which there must be space."""
    there = files_of(store)
    size = sum(there[suffix].st_size for suffix in BESIDE[:3] if suffix in there)
    free = os.statvfs(scratch)
    left = free.f_bavail * free.f_frsize
    if size > left:
        raise UnreadError(f"a copy of it takes {size >> 20} MiB, and {left >> 20} MiB are free")
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + GROWTH, size + GROWTH))


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def remove(path: str) -> None:
    """Remove a directory, a file or a link that an earlier run left."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def main(request: BackupRequest) -> dict[str, Any]:
    """Make the backup; return its size and digest."""
    to, new = request.to, f"{request.to}.new"
    remove(new)
    os.makedirs(to, mode=0o700, exist_ok=True)
    os.makedirs(new, mode=0o700)
    done = run_as(ROOT, SECONDS, lambda: fill(request.v1, new), MAX_MEMORY)
    if "value" not in done:
        remove(new)
        sys.exit(escape_control(f"{request.v1}/store/{DATABASE} cannot be backed up: {done['text'] or done['error']}"))
    os.chmod(f"{new}/{DATABASE}", 0o600)
    with open(f"{new}/{DATABASE}", "rb") as file:
        os.fsync(file.fileno())
    os.rename(f"{new}/{DATABASE}", f"{to}/{DATABASE}")
    shutil.rmtree(new)
    return {"bytes": os.path.getsize(f"{to}/{DATABASE}"), "sha256": digest_of(f"{to}/{DATABASE}")}


if __name__ == "__main__":
    print(json.dumps(main(read_request(BackupRequest))))
