"""Makes the view of a NanoClaw v1: a small directory in the form of an install, for NanoClaw's own migration steps.

Argument: {"v1": project root, "to": directory of the view, on a local file system, "user", "uid", "gid": of the host
user, whose it is}. Answer: {"groups", "tasks": numbers, "paused": [ids], "approximated": [{"id", "from", "to"}],
"left": [{"what", "why"}], "bytes"}. The view holds store/messages.db (rows as v1_rows changes them), the memory of each
folder in groups, an empty data/sessions/F for each registered group, .env, package.json, and the credentials that
NanoClaw's own step looks for. v1 is only read, and may serve meanwhile; no link in it is followed.

It is made beside `to` and takes its place in one step: an end at any moment leaves the old view, or the new one whole,
and what is beside it is removed by the next run.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterable
from typing import Any

from files.programs.acting import LIBC, ROOT, acting, checked
from files.programs.alone import alone
from files.programs.printable import shown
from files.programs.tree_entry import DIRECTORY, GONE
from files.programs.v1_database import DATABASE, UnreadError, contents, files_of
from files.programs.v1_rows import presented, tables_of, write_tables
from files.programs.v1_view import TREES, kind_of, view

SECONDS = 900
LARGEST = 64 << 20
"""Of one file: what is in the view is memory and credentials."""
EXCHANGE, HERE = 2, -100
SESSIONS = "data/sessions"
CREDENTIALS = (
    *("data/sessions/telegram", "store/telegram-session", "data/sessions/baileys", "data/baileys_auth"),
    *("store/auth_info_baileys", "store/baileys", "auth_info_baileys", "data/matrix-store", "store/matrix"),
    *("data/sessions/matrix", "data/imessage", "store/imessage", "data/gchat-credentials.json", "store/gchat-sa.json"),
)
"""Where NanoClaw's step channel-auth.ts looks (shared.ts); store/auth is not among them."""


def made(v1: str, new: str) -> dict[str, Any]:
    """Fills the new view. To be called in a process of its own, whose mounts it changes."""
    root, to = view(v1, new)
    kinds = {tree: kind_of(f"{root}/{tree}") for tree in TREES}
    if strange := [f"{tree}: {kind}" for tree, kind in kinds.items() if kind not in ("there", "absent")]:
        raise UnreadError(f"not a directory that can be read: {', '.join(strange)}")
    if kinds["store"] != "there" or "" not in files_of(f"{root}/store"):
        raise UnreadError(f"store/{DATABASE} is not there")
    os.makedirs(f"{to}/store/scratch")
    rows, answer = presented(contents(f"{root}/store", f"{to}/store/scratch", tables_of))
    shutil.rmtree(f"{to}/store/scratch")
    write_tables(f"{to}/store/{DATABASE}", rows)
    top = os.open(root, DIRECTORY)
    for name in (".env", "package.json"):
        copy_entry(top, name, f"{to}/{name}", deep=False)
    os.makedirs(f"{to}/groups")
    for name, folder in folders(top, "groups"):
        os.mkdir(f"{to}/groups/{name}")
        copy_entry(folder, "CLAUDE.md", f"{to}/groups/{name}/CLAUDE.md", deep=False)
        os.close(folder)
    copy_sessions(top, to, answer.pop("folders"), answer.pop("busy"))
    return answer


def copy_sessions(top: int, to: str, registered: list[str], busy: list[str]) -> None:
    """Make empty directories, one for each session, and copy credentials, some of which lie among them.

    NanoClaw's own step makes a session for each directory. v1 makes the directory with a group's first message, so
    registered groups without one get theirs here.

    + busy: folders of groups with tasks: what lies there under a channel's name is the agent's
    """
    agents = set(busy)
    os.makedirs(f"{to}/{SESSIONS}")
    for name, folder in folders(top, SESSIONS):
        if ".claude" in os.listdir(folder):
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
        copy_entry(directory, name, f"{to}/{path}", deep=True)
        os.close(directory)


def descend(top: int, path: str) -> int | None:
    """Opens a directory below another without following a link; None where there is none."""
    handle = os.open(".", DIRECTORY, dir_fd=top)
    for part in filter(None, path.split("/")):
        try:
            below: int | None = os.open(part, DIRECTORY, dir_fd=handle)
        except OSError as error:
            if error.errno not in GONE:
                raise
            below = None
        finally:
            os.close(handle)
        if below is None:
            return None
        handle = below
    return handle


def folders(top: int, path: str) -> Iterable[tuple[str, int]]:
    """The directories in a directory, each with a handle that the caller closes."""
    above = descend(top, path)
    if above is None:
        return
    for name in sorted(os.listdir(above)):
        if (handle := descend(above, name)) is not None:
            yield name, handle
    os.close(above)


def copy_entry(directory: int, name: str, to: str, deep: bool) -> None:
    """Copies a regular file, or with `deep` a directory; anything else, and links, are passed over."""
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if deep and stat.S_ISDIR(mode):
            handle = os.open(name, DIRECTORY, dir_fd=directory)
            os.makedirs(to, exist_ok=True)
            for entry in sorted(os.listdir(handle)):
                copy_entry(handle, entry, f"{to}/{entry}", deep)
            os.close(handle)
        if not stat.S_ISREG(mode):
            return
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if error.errno in GONE:
            return
        raise
    with open(handle, "rb") as file, open(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
        content = file.read(LARGEST + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        if len(content) > LARGEST:
            raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MiB", shown(to))
        copy.write(content)


def give_view(new: str, uid: int, gid: int) -> int:
    """Makes a view that nobody else could reach so far the host user's. Returns its size in bytes."""
    size = 0
    for above, _directories, files in os.walk(new, topdown=False):
        for name in files:
            size += os.lstat(f"{above}/{name}").st_size
            os.chmod(f"{above}/{name}", 0o600)
            os.lchown(f"{above}/{name}", uid, gid)
        os.chmod(above, 0o700)
        os.lchown(above, uid, gid)
    return size


def put_in_place(new: str, to: str) -> None:
    handle = os.open(new, DIRECTORY)
    checked(LIBC.syncfs(handle))  # whole on the disk, too, before it counts
    os.close(handle)
    if not os.path.lexists(to):
        os.rename(new, to)
        return
    words = [os.fsencode(path) for path in (new, to)]
    checked(LIBC.renameat2(HERE, words[0], HERE, words[1], ctypes.c_uint(EXCHANGE)))
    shutil.rmtree(new)


def extract(told: dict[str, Any]) -> dict[str, Any]:
    to = told["to"].rstrip("/")
    above, name = os.path.split(to)
    new = f"{above}/.{name}.new"
    if kind_of(to) not in ("there", "absent"):
        sys.exit(f"{to}: something else is there ({kind_of(to)})")
    os.makedirs(above, mode=0o755, exist_ok=True)
    alone(f"{above}/.{name}.lock")
    if os.path.lexists(new):
        shutil.rmtree(new)
    os.mkdir(new, 0o700)
    done = acting(ROOT, SECONDS, lambda: made(told["v1"], new))
    if "value" not in done:
        shutil.rmtree(new)
        sys.exit(shown(f"{told['v1']}: {done['text'] or done['error']}"))
    size = give_view(new, told["uid"], told["gid"])
    put_in_place(new, to)
    return {**done["value"], "bytes": size}


if __name__ == "__main__":
    print(json.dumps(extract(json.loads(sys.argv[1]))))
