"""The scratch of a probe: what the agent does in it, and its removal. For programs that import it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from itertools import islice

MOST_SCRATCH, SHOWN_SCRATCH = 1000, 5  # agents can make directories of such names, too
PREFIX = ".nanoclaw-pods-probe-"
NOTE = "INSERT INTO note VALUES ('{}')"


def absent(path: str) -> list[str]:
    """The directories of a path that are not there, the deepest first."""
    found = []
    while not os.path.lexists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def remove(trees: list[str], made: list[str]) -> list[str]:
    """Removes scratch directories, and directories above them that were made for them; says what is left."""
    for path in scratch(trees):
        shutil.rmtree(path, ignore_errors=True)
    for path in made:
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return scratch(trees)[:SHOWN_SCRATCH]


def scratch(trees: list[str]) -> list[str]:
    """The scratch that is there. Raises where that cannot be seen: somebody else is to look then."""
    found = []
    for tree in trees:
        with contextlib.suppress(FileNotFoundError), os.scandir(tree) as entries:
            names = (entry.name for entry in entries if entry.name.startswith(PREFIX))
            found += [f"{tree}/{name}" for name in islice(names, MOST_SCRATCH)]
    return found


def make_session(session: str, shared: str, group: str) -> None:
    """As v2 does: directories, then two databases in DELETE mode."""
    for path in (group, f"{shared}/skills", f"{session}/outbox"):
        os.makedirs(path)
    for name in ("inbound.db", "outbound.db"):
        database = sqlite3.connect(f"{session}/{name}")
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("CREATE TABLE note (text)")
        database.execute(NOTE.format("host"))
        database.commit()
        database.close()


def clean_claims(session: str) -> None:
    """What the host does after a container ended: it writes outbound.db, and removes what was delivered."""
    database = sqlite3.connect(f"{session}/outbound.db", timeout=5)
    database.execute("DELETE FROM note")
    database.commit()
    database.close()
    os.unlink(f"{session}/.heartbeat")
    for name in os.listdir(f"{session}/outbox"):
        shutil.rmtree(f"{session}/outbox/{name}")


def write_outbound() -> None:
    database = sqlite3.connect("workspace/outbound.db", timeout=5)
    database.execute(NOTE.format("agent"))
    database.commit()
    database.close()


def read_inbound() -> None:
    database = sqlite3.connect("file:workspace/inbound.db?mode=ro", uri=True, timeout=5)
    database.execute("SELECT text FROM note").fetchall()
    database.close()


def touch(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8"):
        os.utime(path)
