"""Function calls in a child process with other ids and a deadline."""

from __future__ import annotations

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

from files.pods.common.linux import bind, mount_tmpfs, unshare_mounts

Ids = tuple[int, int]
ROOT: Ids = (0, 0)
MAX_REPLY = 32 << 20
MAX_MEMORY = 512 << 20
"""Address space that suffices to read what agents wrote, whatever its size."""


def describe_error(error: BaseException) -> tuple[str, str]:
    """Return a short name (errno, or SQLITE) and the text of an error."""
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, "OSError"), str(error)
    return ("SQLITE" if isinstance(error, sqlite3.Error) else type(error).__name__), str(error)


def run_as(
    ids: Ids, timeout: float, work: Callable[[], Any], memory: int | None = None, groups: Sequence[int] = ()
) -> dict[str, Any]:
    """Call `work` in a child process with these ids and groups only: {"value"}, or {"error", "text"}.

    + memory: address space in bytes of the child and its children, for `work` that reads what others wrote

    A child that waits for a dead NFS server still dies from a fatal signal, so the alarm ends that as well.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, timeout)
            reply: dict[str, Any]
            try:
                set_ids(ids, groups)
                if memory:
                    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
                reply = {"value": work()}
            except MemoryError:
                reply = {"error": "ENOMEM", "text": f"it takes more than {(memory or 0) >> 20} MiB of memory"}
            except Exception as error:
                name, text = describe_error(error)
                reply = {"error": name, "text": text}
            os.write(writer, json.dumps(reply).encode())
        finally:
            os._exit(0)
    os.close(writer)
    data = b""
    end = time.monotonic() + timeout + 5
    while select.select([reader], [], [], max(0, end - time.monotonic()))[0]:
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            break
        data += chunk
        if len(data) > MAX_REPLY:
            os.kill(child, signal.SIGKILL)
            os.close(reader)
            reap(child, end)
            return {"error": "EFBIG", "text": f"the reply is larger than {MAX_REPLY >> 20} MiB"}
    os.close(reader)
    reap(child, end)
    if not data:
        return {"error": "ETIMEDOUT", "text": f"no end within {timeout} s"}
    result: dict[str, Any] = json.loads(data)
    return result


def reap(child: int, end: float) -> None:
    """Wait for a child until `end` (monotonic clock): one that waits for a dead server may take long to exit."""
    while time.monotonic() < end and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.005)


def set_ids(ids: Ids, groups: Sequence[int] = ()) -> None:
    """Switch this process to these ids and groups, and no others."""
    uid, gid = ids
    os.umask(0o022)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def bind_in_private_namespace(binds: list[tuple[str, str]]) -> str:
    """Enter a private mount namespace with each source bound below the returned directory.

    As in a container, only the permissions of the sources count there, not those of their parent directories.
    """
    unshare_mounts()
    fds = [os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW) for source, _ in binds]  # of the new mounts
    mount_tmpfs()
    for fd, (_, target) in zip(fds, binds):  # noqa: B905  strict= is newer than Python 3.9
        os.makedirs(f"/tmp/{target}", exist_ok=True)
        bind(fd, f"/tmp/{target}")
        os.close(fd)
    return "/tmp"
