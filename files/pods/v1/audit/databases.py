"""Databases of v1 and of v2, read without a byte being written beside them: for programs that import it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from typing import Any

from files.pods.trees.entry import GONE
from files.pods.v1.audit.entries import READ_FILE
from files.pods.v1.database import taken

COPIED_AT_MOST = 128 << 20
SECONDS_OF_ONE = 120
JOURNALS = ("-wal", "-journal")
Row = dict[str, Any]


class Tables:
    """What a database says, by table."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA trusted_schema = OFF")  # agents can write v1's, with views and triggers
        end = time.monotonic() + SECONDS_OF_ONE
        connection.set_progress_handler(lambda: time.monotonic() > end, 5000)

    def rows(self, table: str) -> list[Row]:
        return [dict(row) for row in taken(self.connection.execute(f"SELECT * FROM {table}"), table)]


@contextlib.contextmanager
def database_of(above: int | None, name: str, scratch: str, at_rest: str | None = None) -> Iterator[Tables]:
    """A database in an open directory: a copy of it in memory, with its log or its journal worked in.

    + at_rest: the path of one that nobody writes; without anything beside it, it is read there, however large it is
    Raises OSError where it is not there, is a link or too large, sqlite3.Error where it is none.
    """
    if above is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    beside = [suffix for suffix in JOURNALS if size_of(above, name + suffix)]
    if at_rest and not beside:
        uri, copied = f"file:{at_rest}?immutable=1", []
    else:
        copied = [copied_to(scratch, above, name + suffix) for suffix in ("", *beside)]
        uri = f"file:{copied[0]}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            yield Tables(connection)
    finally:
        for path in {f"{scratch}/{name}{suffix}" for suffix in ("", "-shm", *JOURNALS)} if copied else ():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def size_of(above: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False).st_size
    except OSError as error:
        if error.errno not in GONE:
            raise
        return 0


def copied_to(scratch: str, above: int, name: str) -> str:
    path = f"{scratch}/{name}"
    with os.fdopen(os.open(name, READ_FILE, dir_fd=above), "rb") as file, open(path, "wb") as to:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > COPIED_AT_MOST:
            raise OSError(errno.EFBIG, f"{name} is no file, or larger than {COPIED_AT_MOST >> 20} MiB")
        while piece := file.read(1 << 20):
            to.write(piece)
    return path
