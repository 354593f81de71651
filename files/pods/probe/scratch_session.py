"""The scratch session of a probe: its creation, the steps in it, and its removal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from itertools import islice

MAX_SCRATCH, MAX_SHOWN = 1000, 5  # agents can make directories of such names, too
PREFIX = ".nanoclaw-pods-probe-"
CONTEXT_FILE = "sess-probe.json"
"""What the host writes about a session for its agent: 0600, in a directory of 0700 (2.3.0)."""
NOTE = "INSERT INTO note VALUES ('{}')"


def missing_directories(path: str) -> list[str]:
    """Return the missing directories of a path, the deepest first."""
    paths = []
    while not os.path.lexists(path):
        paths.append(path)
        path = os.path.dirname(path)
    return paths


def remove(trees: list[str], created: list[str]) -> list[str]:
    """Remove scratch and the parent directories created for it; return what remains."""
    for path in list_scratch(trees):
        shutil.rmtree(path, ignore_errors=True)
    for path in created:
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return list_scratch(trees)[:MAX_SHOWN]


def list_scratch(trees: list[str]) -> list[str]:
    """Return the scratch in these trees. Raises OSError if a tree is unreadable: other ids have to look then."""
    paths = []
    for tree in trees:
        with contextlib.suppress(FileNotFoundError), os.scandir(tree) as entries:
            names = (entry.name for entry in entries if entry.name.startswith(PREFIX))
            paths += [f"{tree}/{name}" for name in islice(names, MAX_SCRATCH)]
    return paths


def make_session(session: str, shared: str, group: str, context: str) -> None:
    """Create a session as v2 does: directories, its context (2.3.0), then two databases in DELETE mode."""
    for path in (group, f"{shared}/skills", f"{session}/outbox"):
        os.makedirs(path)
    os.mkdir(context, 0o700)
    fd = os.open(f"{context}/{CONTEXT_FILE}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        file.write("{}")
    os.chmod(f"{context}/{CONTEXT_FILE}", 0o600)
    for name in ("inbound.db", "outbound.db"):
        with contextlib.closing(sqlite3.connect(f"{session}/{name}")) as database, database:
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("CREATE TABLE note (text)")
            database.execute(NOTE.format("host"))


def clean_claims(session: str) -> None:
    """Clean up as the host does after a container ended: write outbound.db, remove delivered messages."""
    with contextlib.closing(sqlite3.connect(f"{session}/outbound.db", timeout=5)) as database, database:
        database.execute("DELETE FROM note")
    os.unlink(f"{session}/.heartbeat")
    for name in os.listdir(f"{session}/outbox"):
        shutil.rmtree(f"{session}/outbox/{name}")


def write_outbound() -> None:
    """Write to outbound.db, as the agent does."""
    with contextlib.closing(sqlite3.connect("workspace/outbound.db", timeout=5)) as database, database:
        database.execute(NOTE.format("agent"))


def read_inbound() -> None:
    """Read inbound.db, as the agent does."""
    with contextlib.closing(sqlite3.connect("file:workspace/inbound.db?mode=ro", uri=True, timeout=5)) as database:
        database.execute("SELECT text FROM note").fetchall()


def read_context() -> None:
    """Read what the host has written about the session, as the agent does."""
    with open(f"context/{CONTEXT_FILE}", encoding="utf-8") as file:
        file.read()


def touch(path: str) -> None:
    """Create a file with its directory, and set its time."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8"):
        os.utime(path)
