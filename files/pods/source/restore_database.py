"""Replace NanoClaw's central database by a copy; keep the present one beside the copies.

Stops the service first; a later step starts it. After an interruption one of the two databases is complete.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress

from files.pods.common import run_lock
from files.pods.common.atomic_write import rename_to_disk
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.source.central_database import COPIES, database, make_copy
from files.pods.source.protocol import RestoreRequest


def main(root: str, file: str) -> None:
    """Replace the database."""
    source, path = os.path.join(root, COPIES, file), os.path.join(root, "data/v2.db")
    if "/" in file or os.path.islink(source) or not os.path.isfile(source):
        sys.exit(f"{source} is no copy of the database")
    if database(root) is not None:
        kept = make_copy(root, "", "the database that a copy replaced", f"replaced-{int(time.time())}")
        print(f"the present database is kept as {kept}")
    with suppress(FileNotFoundError):
        os.unlink(path + ".new")
    fresh = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(source, "rb") as old, open(fresh, "wb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
    with closing(sqlite3.connect(f"file:{path}.new?mode=ro", uri=True)) as copied:
        if (verdict := copied.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
            sys.exit(f"{source} is not whole: {verdict}")
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.unlink(path + end)
    rename_to_disk(path + ".new", path)


if __name__ == "__main__":
    request = read_request(RestoreRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(600, request.root)
    stopped = run_command(["systemctl", "stop", request.unit], timeout=300)
    if stopped.returncode != 0:
        sys.exit(f"{request.unit} does not stop, so its database was not changed: {stopped.stderr}")
    become_user(request.user, request.uid, request.gid)
    try:
        main(request.root, request.file)
    except (OSError, sqlite3.Error) as failure:
        sys.exit(f"the database of {request.root} was not changed: {failure}")
