"""Chown a checkout of another user to the host user.

The old owner may write in it meanwhile. Every step goes from an open directory to a name in it
(files/pods/trees/walk.py), so that a link that he puts in its place is not followed.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator

from files.pods.common.atomic_write import replace_in
from files.pods.common.sanitize import escape_control
from files.pods.trees.entry import NOBODY, OPEN_DIRECTORY, Rule, open_directory
from files.pods.trees.walk import Step, Walk

EXCLUDED = ("groups", "data/v2-sessions", ".git")
"""In a project root: sessions and groups are the agents', the repository's own directory comes last."""
OWN_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"


class CheckoutWalk(Walk):
    """A walk that skips EXCLUDED."""

    def visit(self, name: str) -> Iterator[Step]:
        """Skip the paths of EXCLUDED."""
        if self.path_of(name) not in EXCLUDED:
            yield from super().visit(name)


def make_directories(root: str, ids: tuple[int, int] | None) -> None:
    """Create the project root and its data, and chown both.

    + ids: None where the server decides who owns them
    """
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
    """Chown entries of the old owner, root or nobody to the host user.

    Leaves alone: sessions, groups, other file systems, other owners, and files with several names, which are in
    pnpm's store as well. The repository's directory comes last, so that the next run finishes an interrupted one. The
    old configuration may name programs that git starts: it is kept beside a new one.
    """
    gids = {0, NOBODY, gid, *groups_of(before)}
    rule = Rule(uid, gid, frozenset({before, 0, NOBODY}), frozenset(gids), sockets=True)
    repository = open_directory(f"{root}/.git")
    rule = rule._replace(gids=frozenset({*gids, os.fstat(repository).st_gid}))
    for walk in (CheckoutWalk(open_directory(root), rule, True), Walk(os.dup(repository), rule, True)):
        failed = [f"{walk.path_of(name)}: {verdict}" for verdict, name in walk if verdict.error]
        if failed:
            sys.exit(f"{root}: chown failed ({', '.join(map(escape_control, failed[:5]))})")
    if before != uid:
        keep_config(repository, uid, gid)
    os.close(repository)


def keep_config(repository: int, uid: int, gid: int) -> None:
    """Replace the old owner's configuration, which stays as config.before-nanoclaw-pods."""
    if "config" in os.listdir(repository):
        os.rename("config", "config.before-nanoclaw-pods", src_dir_fd=repository, dst_dir_fd=repository)
    replace_in(repository, "config", OWN_CONFIG, 0o644, (uid, gid))


def groups_of(uid: int) -> list[int]:
    """Return the groups of a user; none for an unknown one."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(entry.pw_name, entry.pw_gid)
