"""Make a snapshot of a NanoClaw v1: a small directory in the form of an install, for NanoClaw's own migration steps.

Reply: {"groups", "tasks": numbers, "paused": [ids], "approximated": [{"id", "from", "to"}], "left": [{"what", "why"}],
"bytes"}. The snapshot holds store/messages.db (rows as files/pods/v1/rows.py converts them), the memory of each folder
in groups, an empty data/sessions/F for each registered group, .env, package.json, and the credentials that NanoClaw's
own step looks for. v1 is only read, and may serve meanwhile; no link in it is followed.

It is built beside `to` and replaces it in one rename: an interrupted run leaves the old snapshot or the whole new one,
and the next run removes the rest.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterable
from typing import Any

from files.pods.common import run_lock
from files.pods.common.dotenv import effective_entries, format_line
from files.pods.common.linux import LIBC, check, exchange
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import open_regular, read_chunks, read_untrusted_bytes
from files.pods.common.run_as_ids import MAX_MEMORY, ROOT, run_as
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import GONE, OPEN_DIRECTORY
from files.pods.v1.database import DATABASE, contents, files_of
from files.pods.v1.protocol import ExtractRequest
from files.pods.v1.queries import UnreadError
from files.pods.v1.rows import convert, tables_of, write_tables
from files.pods.v1.snapshot_dir import TREES, enter_read_only, kind_of

SECONDS = 900
LARGEST_FILE, MOST_COPIED = 64 << 20, 512 << 20
"""Of one file, and of all: the snapshot has memory and credentials."""
MOST_ENTRIES, MOST_LEVELS = 50_000, 20
SESSIONS = "data/sessions"
CREDENTIALS = (
    *("data/sessions/telegram", "store/telegram-session", "data/sessions/baileys", "data/baileys_auth"),
    *("store/auth_info_baileys", "store/baileys", "auth_info_baileys", "data/matrix-store", "store/matrix"),
    *("data/sessions/matrix", "data/imessage", "store/imessage", "data/gchat-credentials.json", "store/gchat-sa.json"),
)
"""Where NanoClaw's step channel-auth.ts looks (shared.ts); store/auth is not among them."""


def fill(v1: str, new: str) -> dict[str, Any]:
    """Fill the new snapshot. Call it in a child process: it changes the mounts of its process."""
    root, to = enter_read_only(v1, new)
    kinds = {tree: kind_of(f"{root}/{tree}") for tree in TREES}
    if invalid := [f"{tree}: {kind}" for tree, kind in kinds.items() if kind not in ("there", "absent")]:
        raise UnreadError(f"not a directory that can be read: {', '.join(invalid)}")
    if kinds["store"] != "there" or "" not in files_of(f"{root}/store"):
        raise UnreadError(f"store/{DATABASE} is not there")
    os.makedirs(f"{to}/store/scratch")
    rows, answer = convert(contents(f"{root}/store", f"{to}/store/scratch", tables_of))
    shutil.rmtree(f"{to}/store/scratch")
    write_tables(f"{to}/store/{DATABASE}", rows)
    top, quota = os.open(root, OPEN_DIRECTORY), Quota()
    copy_entry(top, "package.json", f"{to}/package.json", quota, deep=False)
    copy_env(top, f"{to}/.env")
    os.makedirs(f"{to}/groups")
    for name, folder in folders(top, "groups"):
        os.mkdir(f"{to}/groups/{name}")
        quota.count(f"groups/{name}")
        copy_entry(folder, "CLAUDE.md", f"{to}/groups/{name}/CLAUDE.md", quota, deep=False)
        os.close(folder)
    copy_sessions(top, to, answer.pop("folders"), answer.pop("busy"), quota)
    return answer


class Quota:
    """Limit what is copied: agents decide how much there is."""

    def __init__(self) -> None:
        self.bytes, self.entries = MOST_COPIED, MOST_ENTRIES

    def count(self, path: str) -> None:
        """Count an entry; raise UnreadError for one too many."""
        self.entries -= 1
        if self.entries < 0:
            raise UnreadError(f"{escape_control(path)}: there are more than {MOST_ENTRIES} entries to copy")

    def write(self, fd: int, to: str) -> None:
        """Copy an open file, and close it."""
        with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            for piece in read_chunks(fd, min(LARGEST_FILE, self.bytes)):
                self.bytes -= copy.write(piece)


def copy_sessions(top: int, to: str, registered: list[str], busy: list[str], quota: Quota) -> None:
    """Make empty directories, one for each session, and copy credentials, some of which lie among them.

    NanoClaw's own step makes a session for each directory. v1 makes the directory with a group's first message, so
    registered groups without one get theirs here.

    + busy: folders of groups with tasks: files there under a channel's name are the agent's
    """
    agents = set(busy)
    os.makedirs(f"{to}/{SESSIONS}")
    for name, folder in folders(top, SESSIONS):
        quota.count(f"{SESSIONS}/{name}")
        if exists_in(folder, ".claude"):
            agents.add(name)
        os.makedirs(f"{to}/{SESSIONS}/{name}")
        os.close(folder)
    for name in registered:
        os.makedirs(f"{to}/{SESSIONS}/{name}", exist_ok=True)
    for path in CREDENTIALS:
        above, _slash, name = path.rpartition("/")
        # A group may have the name of a channel: its conversations are no credentials.
        if (above == SESSIONS and name in agents) or (directory := descend(top, above)) is None:
            continue
        os.makedirs(f"{to}/{above}", exist_ok=True)
        copy_entry(directory, name, f"{to}/{path}", quota, deep=True)
        os.close(directory)


def descend(top: int, path: str) -> int | None:
    """Open a directory below another without following a link; None if there is none."""
    fd = os.open(".", OPEN_DIRECTORY, dir_fd=top)
    for part in filter(None, path.split("/")):
        try:
            below: int | None = os.open(part, OPEN_DIRECTORY, dir_fd=fd)
        except OSError as error:
            if error.errno not in GONE:
                raise
            below = None
        finally:
            os.close(fd)
        if below is None:
            return None
        fd = below
    return fd


def folders(top: int, path: str) -> Iterable[tuple[str, int]]:
    """Yield the directories in a directory, each with an fd that the caller closes."""
    above = descend(top, path)
    if above is None:
        return
    for name in sorted(os.listdir(above)):
        if (fd := descend(above, name)) is not None:
            yield name, fd
    os.close(above)


def copy_env(top: int, to: str) -> None:
    """Write the entries of .env that v1 uses, a line each: NanoClaw's own step takes the last line, even if empty."""
    try:
        text = read_untrusted_bytes(".env", top).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnreadError(f".env is a link, no file, or too large ({error.strerror})") from error
    lines = [format_line(name, value) + "\n" for name, value in effective_entries(text).items()]
    with open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write("".join(lines).encode("utf-8", "surrogateescape"))


def exists_in(directory: int, name: str) -> bool:
    """Return whether a directory has an entry."""
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def copy_entry(directory: int, name: str, to: str, quota: Quota, *, deep: bool, level: int = 0) -> None:
    """Copy a regular file, or with `deep` a directory; skip links and anything else."""
    quota.count(to)
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode):
            quota.write(open_regular(name, directory), to)
        elif stat.S_ISDIR(mode) and deep:
            if level > MOST_LEVELS:
                raise UnreadError(f"{escape_control(to)} lies too deep to copy")
            fd = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
            os.makedirs(to, exist_ok=True)
            with os.scandir(fd) as entries:
                for entry in entries:
                    copy_entry(fd, entry.name, f"{to}/{entry.name}", quota, deep=True, level=level + 1)
            os.close(fd)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise UnreadError(f"{escape_control(to)} is too large to copy ({error.strerror})") from error
        if error.errno not in (*GONE, errno.EINVAL):
            raise


def chown_snapshot(new: str, uid: int, gid: int) -> int:
    """Chown a snapshot, which nobody else could reach so far, to the host user. Return its size in bytes."""
    size = 0
    for above, _directories, files in os.walk(new, topdown=False):
        for name in files:
            size += os.lstat(f"{above}/{name}").st_size
            os.chmod(f"{above}/{name}", 0o600)
            os.lchown(f"{above}/{name}", uid, gid)
        os.chmod(above, 0o700)
        os.lchown(above, uid, gid)
    return size


def publish(new: str, to: str) -> None:
    """Replace the snapshot with the new one in one rename, and remove the old one."""
    fd = os.open(new, OPEN_DIRECTORY)
    check(LIBC.syncfs(fd))  # complete on the disk before the rename
    os.close(fd)
    if not os.path.lexists(to):
        os.rename(new, to)
        return
    exchange(new, to)
    shutil.rmtree(new)


def extract(request: ExtractRequest) -> dict[str, Any]:
    """Make the snapshot; return what was converted and skipped."""
    to = request.to.rstrip("/")
    above, name = os.path.split(to)
    new = f"{above}/.{name}.new"
    if kind_of(to) not in ("there", "absent"):
        sys.exit(f"{to}: something else is there ({kind_of(to)})")
    os.makedirs(above, mode=0o755, exist_ok=True)
    run_lock.acquire(f"{above}/.{name}.lock")
    if os.path.lexists(new):
        shutil.rmtree(new)
    os.mkdir(new, 0o700)
    done = run_as(ROOT, SECONDS, lambda: fill(request.v1, new), MAX_MEMORY)
    if "value" not in done:
        shutil.rmtree(new)
        sys.exit(escape_control(f"{request.v1}: {done['text'] or done['error']}"))
    size = chown_snapshot(new, request.uid, request.gid)
    publish(new, to)
    return {**done["value"], "bytes": size}


if __name__ == "__main__":
    print(json.dumps(extract(read_request(ExtractRequest))))
