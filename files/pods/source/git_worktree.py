"""The checkout of NanoClaw as git sees it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from files.pods.common.read_untrusted import open_regular
from files.pods.common.run_as_host_user import HOST_PATH, on_network, sync_file_system
from files.pods.common.run_as_ids import Ids, set_ids

NOT_OURS_TO_WRITE = ("data/", "groups/")
"""Directories of the project root that hold what agents write, or are mount points for it."""

OTHERS = (".git", "data", "groups", "lost+found")
"""What may lie in a project root before its first checkout."""

STAMP = ".git/nanoclaw-pods-build"
"""File of a project root: what was built last, as files/pods/source/build.py wrote it down."""

MOVING = "nanoclaw-pods-moving"
"""File in .git that stands while files are being written; it holds the commit that they are written from."""

LARGEST_FILE = 64 << 20
NO_PROGRAMS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
"""What git would start by itself has no say in a checkout of the role's."""

OWNER_ENVIRONMENT = {"PATH": HOST_PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
"""Nothing of root's."""


class Tree:
    """A project root with a repository. Commands name both, so that nothing above the root is taken for it."""

    def __init__(self, root: str) -> None:
        self.root, self.git_dir = root, os.path.join(root, ".git")
        self.moving = os.path.join(self.git_dir, MOVING)

    def run(self, *args: str, seconds: int = 60, feed: str = "") -> subprocess.CompletedProcess[str]:
        """Run git in this checkout; return its result as text."""
        self.refuse_of_another()
        path = ["-c", "safe.directory=" + self.root, "--git-dir", self.git_dir, "--work-tree", self.root]
        command = ["git", "-c", "core.fsync=all", *NO_PROGRAMS, *path, *args]
        try:
            return subprocess.run(
                command,
                cwd=self.root,
                input=feed,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=seconds,
                **self.runs_as(),
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"no answer within {seconds} s")

    def data(self, *args: str, feed: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """What git says of the repository alone, as bytes."""
        self.refuse_of_another()
        path = [*NO_PROGRAMS, "-c", "safe.directory=" + self.root, "--git-dir", self.git_dir]
        where: dict[str, Any] = {"stdin": subprocess.DEVNULL} if feed is None else {"input": feed}
        return subprocess.run(["git", *path, *args], capture_output=True, timeout=60, **where, **self.runs_as())

    def runs_as(self) -> dict[str, Any]:
        """How subprocess(3) starts git as the owner, where that is somebody else than root."""
        ids = other_owner(self.root)
        if ids is None:
            return {}
        return {"user": ids[0], "group": ids[1], "extra_groups": [], "umask": 0o022, "env": OWNER_ENVIRONMENT}

    def refuse_of_another(self) -> None:
        """Raise PermissionError in a repository of another user: its configuration names programs that git starts.

        On network file systems the server says who its owner is: it may squash this user.
        """
        try:
            whose = os.lstat(self.git_dir).st_uid
        except FileNotFoundError:
            return
        if whose != os.geteuid() and not on_network(self.root):
            raise PermissionError(f"{self.git_dir} belongs to uid {whose}, and git runs as uid {os.geteuid()}")

    def ask(self, *args: str) -> str | None:
        """One answer, or None where git has none."""
        result = self.run(*args)
        return result.stdout.strip() if result.returncode == 0 else None

    def names(self, *args: str) -> list[str]:
        """Paths, as git lists them with -z."""
        result = self.run(*args)
        if result.returncode != 0:
            raise RuntimeError(f"git {args[0]}: {result.stderr}")
        return [name for name in result.stdout.split("\0") if name]

    def commit(self, name: str) -> str | None:
        """The commit that a name stands for, if it is here."""
        return self.ask("rev-parse", "--quiet", "--verify", name + "^{commit}")

    def resolve(self, ref: str) -> str | None:
        """The commit of a tag, else of a branch of the remote, else of a commit's name, if it is here."""
        found = self.commit("refs/tags/" + ref) or self.commit("refs/remotes/origin/" + ref)
        return found or (self.commit(ref) if is_commit(ref) else None)

    def blob(self, commit: str, path: str) -> bytes | None:
        """The content of a file in a commit."""
        request = self.data("cat-file", "blob", commit + ":" + path)
        return request.stdout if request.returncode == 0 else None

    def on_disk(self, path: str) -> bytes | None:
        """The content of a file of the work tree, or what a link says; None where neither is there."""
        full = os.path.join(self.root, path)
        if os.path.islink(full):
            return os.fsencode(os.readlink(full))
        if not os.path.isfile(full):
            return None
        with os.fdopen(open_regular(full), "rb") as file:
            return file.read(LARGEST_FILE)  # as long as no file of a release is

    def in_the_way(self, head: str, desired: str) -> tuple[list[str], list[str]]:
        """Files that differ between two commits and are changed in the work tree, but for sessions and groups:
        those that somebody changed, and those that an interrupted checkout left, which are as they are to be, or
        their beginning."""
        differ = {name for name in self.differing(head, desired) if not name.startswith(NOT_OURS_TO_WRITE)}
        if not differ:
            return [], []
        dirty = {name for name in self.names("diff-index", "-z", "--name-only", head) if self.changed(name, head)}
        known = set(self.names("ls-tree", "-r", "-z", "--name-only", head))
        dirty |= {name for name in differ - known if os.path.lexists(os.path.join(self.root, name))}
        interrupted = self.interrupted() == head
        changed: list[str] = []
        left: list[str] = []
        for name in sorted(differ & dirty):
            now, then = self.on_disk(name), self.blob(desired, name)
            ours = now is not None and then is not None and (now == then or (interrupted and then.startswith(now)))
            (left if ours else changed).append(name)
        return changed, left

    def differing(self, head: str, desired: str) -> list[str]:
        """Return the paths that differ between two commits."""
        return self.names("diff-tree", "-r", "-z", "--no-renames", "--name-only", head, desired)

    def changed(self, name: str, head: str) -> bool:
        """Whether a file's content differs from a commit's; a missing one does not count, git writes it again."""
        now = self.on_disk(name)
        return now is not None and now != self.blob(head, name)

    def interrupted(self) -> str | None:
        """The commit from which an unfinished checkout started ("" for the first one of all)."""
        try:
            with open(self.moving, encoding="utf-8") as file:
                return file.read().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def begin(self, head: str) -> None:
        """Has files count as being written, from a commit on, until `end`."""
        with open(self.moving, "w", encoding="utf-8") as file:
            file.write(head)
        sync_file_system(self.root)

    def end(self) -> None:
        """Mark the move as complete."""
        if self.interrupted() is not None:
            os.unlink(self.moving)

    def foreign(self) -> list[str]:
        """What lies in the project root before its first checkout and would be mixed up with it."""
        if self.interrupted() is not None or not os.path.isdir(self.root):
            return []
        return sorted(name for name in os.listdir(self.root) if name not in OTHERS)[:10]


def other_owner(root: str) -> Ids | None:
    """The owner of root's checkout on a server that squashes root; None where it is root's, or we are not root.

    That owner writes the repository's configuration, which names programs that git starts.
    """
    if os.geteuid() != 0:
        return None
    for path in (os.path.join(root, ".git"), root):
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        return (info.st_uid, info.st_gid) if info.st_uid != 0 and on_network(root) else None
    return None


def become_owner(ids: Ids) -> None:
    """Go on as the owner of a checkout, in none of its groups and with nothing of root's."""
    set_ids(ids)
    os.environ.clear()
    os.environ.update(OWNER_ENVIRONMENT)
    os.chdir("/")


def nowhere(*args: str, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    """git in no repository."""
    try:
        return subprocess.run(["git", *args], cwd="/", input="", capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(args, 124, "", f"no answer within {seconds} s")


def is_commit(ref: str) -> bool:
    """Return whether a ref looks like a commit id."""
    return re.fullmatch("[0-9a-f]{7,40}", ref) is not None


def shown_url(url: str | None) -> str | None:
    """A URL without what may be a password."""
    return re.sub("//[^@/]*@", "//", url) if url else url
