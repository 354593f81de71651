"""Doing something as other ids, in a bounded time: for programs that import it."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import select
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

Ids = tuple[int, int]
ROOT: Ids = (0, 0)
LARGEST_ANSWER = 32 << 20
MOST_MEMORY = 512 << 20
"""Enough for a look at what agents wrote, however much that is."""
LIBC = ctypes.CDLL(None, use_errno=True)
NEW_MOUNTS, RECURSIVE_PRIVATE, BIND, SAFE_TMPFS = 0x20000, 0x44000, 0x1000, 0x6


def error_of(error: BaseException) -> tuple[str, str]:
    """A short name and the words of an error: errno's name, or SQLITE."""
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, "OSError"), str(error)
    return ("SQLITE" if isinstance(error, sqlite3.Error) else type(error).__name__), str(error)


def acting(
    ids: Ids, seconds: int, work: Callable[[], Any], memory: int | None = None, groups: Sequence[int] = ()
) -> dict[str, Any]:
    """What `work` returns in a child of these ids and groups alone: {"value"}, or {"error", "text"}.

    + memory: bytes of address space that the child and its children may have, where `work` reads what others wrote

    A child that waits for a dead NFS server still ends by a fatal signal, so the alarm bounds that as well.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.alarm(seconds)
            answer: dict[str, Any]
            try:
                set_ids(ids, groups)
                if memory:
                    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
                answer = {"value": work()}
            except MemoryError:
                answer = {"error": "ENOMEM", "text": f"it takes more than {(memory or 0) >> 20} MiB of memory"}
            except Exception as error:
                name, text = error_of(error)
                answer = {"error": name, "text": text}
            os.write(writer, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writer)
    data = b""
    end = time.monotonic() + seconds + 5
    while select.select([reader], [], [], max(0, end - time.monotonic()))[0]:
        more = os.read(reader, 1 << 16)
        if not more:
            break
        data += more
        if len(data) > LARGEST_ANSWER:
            os.kill(child, signal.SIGKILL)
            os.close(reader)
            reap(child, end)
            return {"error": "EFBIG", "text": f"there is more to tell than {LARGEST_ANSWER >> 20} MiB"}
    os.close(reader)
    reap(child, end)
    if not data:
        return {"error": "ETIMEDOUT", "text": f"no end within {seconds} s"}
    done: dict[str, Any] = json.loads(data)
    return done


def reap(child: int, end: float) -> None:
    """Waits for a child until `end` (monotonic): one that is leaving a dead server's mount may take long to go."""
    while time.monotonic() < end and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.005)


def set_ids(ids: Ids, groups: Sequence[int] = ()) -> None:
    """Goes on with these ids and groups, and no others."""
    uid, gid = ids
    os.umask(0o022)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def container_view(binds: list[tuple[str, str]]) -> str:
    """Goes on in mounts of its own in which each source is bound below the directory that is returned.

    As in a container, only the sources' own rights count then, and not those of the directories above them.
    """
    checked(LIBC.unshare(NEW_MOUNTS))
    checked(LIBC.mount(b"none", b"/", None, RECURSIVE_PRIVATE, None))
    handles = [os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW) for source, _ in binds]  # of the new mounts
    checked(LIBC.mount(b"none", b"/tmp", b"tmpfs", SAFE_TMPFS, b"mode=0755,size=1m"))
    for handle, (_, target) in zip(handles, binds):  # noqa: B905  strict= is newer than Python 3.9
        os.makedirs(f"/tmp/{target}", exist_ok=True)
        checked(LIBC.mount(f"/proc/self/fd/{handle}".encode(), f"/tmp/{target}".encode(), None, BIND, None))
        os.close(handle)
    return "/tmp"


def checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
