"""Runs on a machine: does the actions of many cells, as processes with their ids, and prints the results.

Standard library only. Reads {"work": NAME, "cells": [...]} from standard input; prints {cell: {action: errno or null}}.
A child process for each actor takes its ids for good (setresuid(2), as setpriv does).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

Cell = dict[str, Any]
Results = dict[str, str | None]

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS, RECURSIVE_PRIVATE, BIND = 0x20000, 0x44000, 0x1000
MOUNTED = ("session", "group", ".claude-shared")
"""Directories that the host creates and the container mounts. Those "like" a session are only chowned."""
MADE = (*MOUNTED, "like-host", "like-guard", "like-server")


def attempt(work: Callable[[], object]) -> str | None:
    """Return the name of the errno, or None on success."""
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return None


def first(*results: str | None) -> str | None:
    return next((result for result in results if result), None)


def transaction(path: str, sql: str, flags: int = os.O_RDWR) -> str | None:
    """Run SQL in a transaction. Trace an error of SQLite to the system call that caused it."""
    mode = {os.O_RDONLY: "ro", os.O_RDWR: "rw"}.get(flags, "rwc")
    try:
        connection = sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=5)
        try:
            connection.execute(sql).fetchall()
            connection.commit()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return cause(path, flags) or f"SQLite: {error}"
    return None


def cause(path: str, flags: int) -> str | None:
    """Return the errno of the calls that SQLite makes: open the database, create a journal beside it, remove it."""

    def journal() -> None:
        os.close(os.open(f"{path}-probe", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        os.unlink(f"{path}-probe")

    opened = attempt(lambda: os.close(os.open(path, flags, 0o644)))
    return opened if opened or flags == os.O_RDONLY else attempt(journal)


def nothing() -> None:
    pass


def child(
    ids: list[int], groups: list[int], work: Callable[[], Results], before: Callable[[], None] = nothing
) -> Results:
    """Run `work` in a process with these ids and return its results; `before` runs first, still as root."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            os.umask(0o022)
            before()
            os.setgroups(groups)
            os.setresgid(ids[1], ids[1], ids[1])
            os.setresuid(ids[0], ids[0], ids[0])
            os.write(writer, json.dumps(work()).encode())
        except BaseException as error:
            os.write(writer, json.dumps({"broken": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        results: Results = json.loads(stream.read())
    os.wait()
    return results


def prepare(cell: Cell) -> Results:
    """Create the tree on the disk that stores it, with its owner and mode."""
    os.makedirs(cell["stored"])
    os.chown(cell["stored"], *cell["owner"])
    os.chmod(cell["stored"], cell["mode"])
    return {}


def chown_tree(cell: Cell, chown_by: str, at: str, ids: list[int]) -> str | None:
    if cell["chown_by"] != chown_by:
        return attempt(lambda: os.lchown(f"{at}/like-{chown_by}", *ids))
    last = attempt(lambda: os.stat(f"{at}/session"))
    for name in ("session/inbound.db", "session/outbound.db", "group", ".claude-shared", "session"):
        if attempt(lambda name=name: os.lstat(f"{at}/{name}")) is None:  # type: ignore[misc]
            last = first(last, attempt(lambda name=name: os.lchown(f"{at}/{name}", *ids)))  # type: ignore[misc]
    return last


def create(cell: Cell) -> Results:
    """Create a session as the host and chown it, or its like, to the agent; then do so as the guard."""
    at = cell["mounted"]

    def as_host() -> Results:
        made = [attempt(lambda name=name: os.mkdir(f"{at}/{name}", 0o777)) for name in MADE]  # type: ignore[misc]
        sql, new = "CREATE TABLE t AS SELECT 1 AS a", os.O_RDWR | os.O_CREAT
        return {
            "host creates the session directory": first(*made),
            "host creates and writes inbound.db": transaction(f"{at}/session/inbound.db", sql, new),
            "host creates outbound.db": transaction(f"{at}/session/outbound.db", sql, new),
            "host chowns the tree to the agent": chown_tree(cell, "host", at, cell["agent"]),
        }

    def as_guard() -> Results:
        return {"guard chowns the tree to the agent": chown_tree(cell, "guard", at, cell["agent"])}

    return {**child(cell["host"], cell["groups"], as_host), **child([0, 0], [], as_guard)}


def chown_on_server(cell: Cell) -> Results:
    """Chown the tree where it is stored, as the role does on the server."""
    return {"server chowns the tree to the agent": chown_tree(cell, "server", cell["stored"], cell["stored_agent"])}


def container_view(cell: Cell) -> None:
    """Enter a mount namespace in which the session is /tmp/session, so that modes of its parents do not count."""
    LIBC.unshare(NEW_MOUNTS)
    LIBC.mount(b"none", b"/", None, RECURSIVE_PRIVATE, None)
    os.setgroups(cell["groups"])
    os.setegid(cell["host"][1])
    os.seteuid(cell["host"][0])
    handles = {}
    for name in MOUNTED:
        if attempt(lambda name=name: os.lstat(f"{cell['mounted']}/{name}")) is None:  # type: ignore[misc]
            handles[name] = os.open(f"{cell['mounted']}/{name}", os.O_PATH | os.O_DIRECTORY)
    os.seteuid(0)
    os.setegid(0)
    LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, b"mode=0755,size=1m")
    for name, handle in handles.items():
        os.mkdir(f"/tmp/{name}")
        if LIBC.mount(f"/proc/self/fd/{handle}".encode(), f"/tmp/{name}".encode(), None, BIND, None):
            raise OSError(ctypes.get_errno(), f"bind mount of {name}")


def beat() -> str | None:
    def touch() -> None:
        os.close(os.open("/tmp/session/.heartbeat", os.O_CREAT | os.O_WRONLY, 0o644))
        os.utime("/tmp/session/.heartbeat", (1, 1))

    return attempt(touch)


def note(path: str) -> str | None:
    return attempt(lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)))


def life(cell: Cell) -> Results:
    """Create mount points as dockerd, work as the agent, clean up as the host."""
    at = cell["mounted"]

    def as_dockerd() -> Results:
        points = [attempt(lambda name=name: os.mkdir(f"{at}/session/{name}")) for name in ("agent", "global", "extra")]  # type: ignore[misc]
        return {"dockerd makes the mount points": first(*points)}

    def as_agent() -> Results:
        return {
            "agent reads inbound.db": transaction("/tmp/session/inbound.db", "SELECT * FROM t", os.O_RDONLY),
            "agent writes outbound.db": transaction("/tmp/session/outbound.db", "INSERT INTO t VALUES (2)"),
            "agent touches .heartbeat": beat(),
            "agent writes into the group directory": note("/tmp/group/notes"),
            "agent writes into .claude-shared": note("/tmp/.claude-shared/settings.json"),
        }

    done = {**child([0, 0], [], as_dockerd), **child(cell["agent"], [], as_agent, lambda: container_view(cell))}
    return {**done, **aftermath(cell)}


def aftermath(cell: Cell) -> Results:
    """Do what the host does in a session that its agent has used."""
    at = cell["mounted"]

    def as_host() -> Results:
        return {
            "host cleans claims in outbound.db": transaction(f"{at}/session/outbound.db", "DELETE FROM t"),
            "host writes inbound.db again": transaction(f"{at}/session/inbound.db", "INSERT INTO t VALUES (3)"),
            "host deletes .heartbeat": attempt(lambda: os.unlink(f"{at}/session/.heartbeat")),
        }

    return child(cell["host"], cell["groups"], as_host)


WORK: dict[str, Callable[[Cell], Results]] = {
    "prepare": prepare,
    "create": create,
    "chown": chown_on_server,
    "life": life,
    "aftermath": aftermath,
}


def main() -> None:
    """Run the request. Print a line of progress for each hundred cells on standard error."""
    request = json.load(sys.stdin)
    work = WORK[request["work"]]
    answers = {}
    for number, cell in enumerate(request["cells"]):
        answers[cell["name"]] = work(cell)
        if number % 100 == 99:
            print(f"{request['work']}: {number + 1} of {len(request['cells'])} cells", file=sys.stderr, flush=True)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
