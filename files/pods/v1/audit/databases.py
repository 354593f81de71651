"""Read databases of v1 and of v2 without writing a byte beside them: for programs that import it."""

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
from files.pods.v1.queries import fetch_bounded

MAX_COPY_BYTES = 128 << 20
QUERY_SECONDS = 120
JOURNALS = ("-wal", "-journal")
Row = dict[str, Any]


class Tables:
    """The tables of an open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA trusted_schema = OFF")  # agents can write v1's, with views and triggers
        end = time.monotonic() + QUERY_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > end, 5000)

    def rows(self, table: str) -> list[Row]:
        """Return all rows of a table, within a size limit."""
        return [dict(row) for row in fetch_bounded(self.connection.execute(f"SELECT * FROM {table}"), table)]


@contextlib.contextmanager
def database_of(above: int | None, name: str, scratch: str, at_rest: str | None = None) -> Iterator[Tables]:
    """Open a database in an open directory: a copy in memory, with its write-ahead log or journal applied.

    + at_rest: the path of one that nobody writes; without a log or journal it is read there, whatever its size
    Raises OSError if it is missing, a link or too large, sqlite3.Error if it is no database.
    """
    if above is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    beside = [suffix for suffix in JOURNALS if size_of(above, name + suffix)]
    if at_rest and not beside:
        uri, copied = f"file:{at_rest}?immutable=1", []
    else:
        copied = [copy_file(scratch, above, name + suffix) for suffix in ("", *beside)]
        uri = f"file:{copied[0]}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            yield Tables(connection)
    finally:
        for path in {f"{scratch}/{name}{suffix}" for suffix in ("", "-shm", *JOURNALS)} if copied else ():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def size_of(above: int, name: str) -> int:
    """Return the size of a file; 0 if there is none."""
    try:
        return os.stat(name, dir_fd=above, follow_symlinks=False).st_size
    except OSError as error:
        if error.errno not in GONE:
            raise
        return 0


def copy_file(scratch: str, above: int, name: str) -> str:
    """Copy a regular file to the scratch directory; return the copy's path."""
    path = f"{scratch}/{name}"
    with os.fdopen(os.open(name, READ_FILE, dir_fd=above), "rb") as file, open(path, "wb") as to:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_COPY_BYTES:
            raise OSError(errno.EFBIG, f"{name} is no file, or larger than {MAX_COPY_BYTES >> 20} MiB")
        while piece := file.read(1 << 20):
            to.write(piece)
    return path
