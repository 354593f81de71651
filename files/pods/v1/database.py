"""Read the database of a NanoClaw v1 without writing a byte beside it: for programs that import it.

It may be in use, have a write-ahead log that was never checkpointed, or a hot journal. An agent of the main group can
write it, so it is not trusted: whatever it holds, the answer comes within a deadline.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from files.pods.common.read_untrusted import open_regular, read_chunks
from files.pods.common.sanitize import escape_control
from files.pods.v1.queries import UnreadError, rows_of
from files.pods.v1.snapshot_dir import kind_of
from files.pods.v1.v1_state import Database

DATABASE = "messages.db"
COPY_AT_MOST = 256 << 20
BESIDE = ("", "-wal", "-journal", "-shm")


def database(store: str, scratch: str) -> Database:
    """Return the state of the database of a store in a read-only root (snapshot_dir.py)."""
    answer = Database("missing", "", 0, 0, 0, 0, is_main=False, checked=False, groups=[], tasks=[], sessions=[])
    if kind_of(store) != "there":
        return answer
    try:
        present = files_of(store)
        if "" not in present:
            return answer
        sizes = {suffix: info.st_size for suffix, info in present.items()}
        wal, journal = sizes.get("-wal", 0), sizes.get("-journal", 0)
        answer = replace(answer, bytes=sizes[""], wal=wal, journal=journal, uid=present[""].st_uid)
        answer = replace(answer, **contents(store, scratch, rows_of, min(COPY_AT_MOST, available() // 2)))
    except (UnreadError, OSError, sqlite3.OperationalError, sqlite3.DataError) as error:  # DataError: it is too big
        answer = replace(answer, state="unread", text=escape_control(str(error)))
    except sqlite3.DatabaseError as error:
        answer = replace(answer, state="corrupt", text=escape_control(str(error)))
    return answer


def lstat_or_none(path: str) -> os.stat_result | None:
    """Return what lstat(2) says of a path; None without it."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def files_of(store: str) -> dict[str, os.stat_result]:
    """Return the database and the files beside it, by suffix."""
    present = {suffix: info for suffix in BESIDE if (info := lstat_or_none(f"{store}/{DATABASE}{suffix}"))}
    for suffix, info in present.items():
        if not stat.S_ISREG(info.st_mode):
            raise UnreadError(f"{DATABASE}{suffix} is a link, or no file")
    return present


def contents(store: str, scratch: str, work: Callable[[str], Any], most: int | None = None) -> Any:
    """Return the result of `work`, which gets a URI of the database: in place, or of a copy in `scratch` if a log or a
    journal must be applied first.

    v1 may serve meanwhile. In place, SQLite's own locks keep the read consistent, also on a read-only mount (fcntl
    locks do not need to write; a log is read with its index, if v1 has one open). A read or copy without a lock counts
    only if no file changed meanwhile.

    + most: largest copy, in bytes
    """
    path = f"{store}/{DATABASE}"
    logged = head_of(path)[18:20] == b"\2\2"
    present = files_of(store)
    log, journal = (present[suffix].st_size if suffix in present else 0 for suffix in ("-wal", "-journal"))
    if logged and not log:
        # Without a log the file is complete, and a read without locks needs no index of the log.
        return unchanged(store, lambda: work(f"file:{path}?immutable=1"))
    try:
        return work(f"file:{path}?mode=ro")
    except sqlite3.OperationalError:
        if not log and not journal:
            raise
    unchanged(store, lambda: copy(store, scratch, most))
    return work(f"file:{scratch}/{DATABASE}")


def unchanged(store: str, work: Callable[[], Any]) -> Any:
    """Return the result of `work` if no file of the database changed meanwhile; raise UnreadError after three tries."""
    for _ in range(3):
        before = state_of(store)
        time.sleep(0.05)  # a write of the same tick of the file system's clock is over then
        answer = work()
        if state_of(store) == before:
            return answer
    raise UnreadError("it changes while it is read")


def head_of(path: str) -> bytes:
    """Return the header of a database file."""
    fd = open_regular(path)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def copy(store: str, scratch: str, most: int | None) -> None:
    """Copy the database with its log and journal."""
    present = files_of(store)
    free = os.statvfs(scratch)
    left = min(most if most is not None else 1 << 62, free.f_bavail * free.f_frsize)
    if sum(present[suffix].st_size for suffix in BESIDE[:3] if suffix in present) > left:
        where = " in memory" if most is not None else ""
        raise UnreadError(f"a log or a journal must be applied first, and the database is too large for a copy{where}")
    for suffix in BESIDE[:3]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{scratch}/{DATABASE}{suffix}")
        if suffix in present:
            with open(f"{scratch}/{DATABASE}{suffix}", "xb") as to:
                for piece in read_chunks(open_regular(f"{store}/{DATABASE}{suffix}"), left):
                    left -= to.write(piece)


def state_of(store: str) -> dict[str, tuple[int, int, int]]:
    """Return size, time and inode of the database, its log and its journal."""
    present = files_of(store)
    return {
        suffix: (info.st_size, info.st_mtime_ns, info.st_ino)
        for suffix, info in present.items()
        if suffix in BESIDE[:3]
    }


def available() -> int:
    """Return the memory that is available, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["MemAvailable"].split()[0]) << 10
