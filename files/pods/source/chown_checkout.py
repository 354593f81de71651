"""Chown a checkout of another user to the host user.

The old owner may write in it meanwhile. Every step goes from a directory that is held open to a name in it
(files/pods/trees/walk.py), so that what he puts in its place is not reached.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator

from files.pods.common.atomic_write import replace_in
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import NOBODY, OPEN_DIRECTORY, Rule, open_directory
from files.pods.trees.walk import Walk

APART = ("groups", "data/v2-sessions", ".git")
"""In a project root: sessions and groups are the agents', the repository's own directory comes last."""
OWN_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"


class AllBut(Walk):
    """A walk that passes over APART."""

    def visit(self, name: str) -> Iterator[tuple[str, str]]:
        """Skip the paths of APART."""
        if self.path_of(name) not in APART:
            yield from super().visit(name)


def make_directories(root: str, ids: tuple[int, int] | None) -> None:
    """Make the project root and its data, and chown both where this machine says who owns them."""
    os.makedirs(root, mode=0o755, exist_ok=True)
    top = open_directory(root)
    try:
        if "data" not in os.listdir(top):
            os.mkdir("data", 0o755, dir_fd=top)
        data = os.open("data", OPEN_DIRECTORY, dir_fd=top)
        for fd in (data, top):
            info = os.fstat(fd)
            if ids and (info.st_uid, info.st_gid) != ids:
                os.fchown(fd, *ids)
        os.close(data)
    except OSError as error:
        sys.exit(f"{root}/data is a link, or no directory ({error.strerror}). Move it away, then run again.")
    finally:
        os.close(top)


def chown_to_host(root: str, before: int, uid: int, gid: int) -> None:
    """Chown what is the old owner's, root's or nobody's to the host user.

    Leaves alone: sessions, groups, other file systems, other owners, and files with several names, which are in
    pnpm's store as well. The repository's directory comes last, so that what was ended half way is done again. Its
    configuration names programs that git starts: the old owner's is kept beside a new one.
    """
    gids = {0, NOBODY, gid, *groups_of(before)}
    rule = Rule(uid, gid, frozenset({before, 0, NOBODY}), frozenset(gids), sockets=True)
    repository = open_directory(f"{root}/.git")
    rule = rule._replace(gids=frozenset({*gids, os.fstat(repository).st_gid}))
    for walk in (AllBut(open_directory(root), rule, True), Walk(os.dup(repository), rule, True)):
        failed = [f"{walk.path_of(name)}: {verdict}" for verdict, name in walk if verdict.isupper()]
        if failed:
            sys.exit(f"{root}: chown failed ({', '.join(map(escape_control, failed[:5]))})")
    if before != uid:
        keep_config(repository, uid, gid)
    os.close(repository)


def keep_config(repository: int, uid: int, gid: int) -> None:
    """Put a plain configuration in the place of the old owner's, which stays as config.before-nanoclaw-pods."""
    if "config" in os.listdir(repository):
        os.rename("config", "config.before-nanoclaw-pods", src_dir_fd=repository, dst_dir_fd=repository)
    replace_in(repository, "config", OWN_CONFIG, 0o644, (uid, gid))


def groups_of(uid: int) -> list[int]:
    """The groups of a user; none of one that this machine does not know."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(entry.pw_name, entry.pw_gid)
