"""The checkout of NanoClaw, by git."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from files.pods.common.read_untrusted import open_regular
from files.pods.common.run_as_host_user import HOST_PATH, become_user, on_network, sync_file_system
from files.pods.common.run_as_ids import Ids, set_ids
from files.pods.common.run_command import run_command

AGENT_PATHS = ("data/", "groups/")
"""Directories of the project root that agents write in, or mount points for them."""

ALLOWED = (".git", "data", "groups", "lost+found")
"""What may lie in a project root before its first checkout."""

STAMP = ".git/nanoclaw-pods-build"
"""File of a project root that files/pods/source/build.py writes: the source of the last build."""

MOVING = "nanoclaw-pods-moving"
"""File in .git that exists while files are written; it holds the commit before."""

OURS = "nanoclaw-pods-"
"""Files in .git with such names are the role's."""

MANAGED = f"{OURS}managed"
"""File in .git of a checkout that the role has made or moved, also before its first build."""

LARGEST_FILE = 64 << 20
NO_PROGRAMS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
"""Keeps git from starting programs that the checkout configures."""

OWNER_ENVIRONMENT = {"PATH": HOST_PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}
"""Without root's variables."""


class Tree:
    """A project root with a repository. Commands name both, so that git does not use a repository above the root."""

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
        """Run git in the repository, without the work tree; return its result as bytes."""
        self.refuse_of_another()
        path = [*NO_PROGRAMS, "-c", "safe.directory=" + self.root, "--git-dir", self.git_dir]
        command = ["git", *path, *args]
        return subprocess.run(command, input=feed or b"", capture_output=True, timeout=60, **self.runs_as())

    def runs_as(self) -> dict[str, Any]:
        """Return the arguments with which subprocess.run runs git as the owner, if root does not own the checkout."""
        ids = other_owner(self.root)
        if ids is None:
            return {}
        return {"user": ids[0], "group": ids[1], "extra_groups": [], "umask": 0o022, "env": OWNER_ENVIRONMENT}

    def refuse_of_another(self) -> None:
        """Raise PermissionError in another user's repository: its configuration may name programs that git starts.

        On NFS the server decides the owner: it may squash this user.
        """
        try:
            uid = os.lstat(self.git_dir).st_uid
        except FileNotFoundError:
            return
        if uid != os.geteuid() and not on_network(self.root):
            raise PermissionError(f"{self.git_dir} belongs to uid {uid}, and git runs as uid {os.geteuid()}")

    def ask(self, *args: str) -> str | None:
        """Return the output of git, or None if it fails."""
        result = self.run(*args)
        return result.stdout.strip() if result.returncode == 0 else None

    def names(self, *args: str) -> list[str]:
        """Return the paths that git lists with -z."""
        result = self.run(*args)
        if result.returncode != 0:
            raise RuntimeError(f"git {args[0]}: {result.stderr}")
        return [name for name in result.stdout.split("\0") if name]

    def commit(self, name: str) -> str | None:
        """Return the commit of a name, or None if it is not here."""
        return self.ask("rev-parse", "--quiet", "--verify", name + "^{commit}")

    def resolve(self, ref: str) -> str | None:
        """Return the commit of a tag, a remote branch or a commit id, in this order, or None if it is not here."""
        commit = self.commit("refs/tags/" + ref) or self.commit("refs/remotes/origin/" + ref)
        return commit or (self.commit(ref) if is_commit(ref) else None)

    def blob(self, commit: str, path: str) -> bytes | None:
        """Return the content of a file in a commit, or None."""
        request = self.data("cat-file", "blob", commit + ":" + path)
        return request.stdout if request.returncode == 0 else None

    def on_disk(self, path: str) -> bytes | None:
        """Return the content of a file of the work tree, or the target of a link; None without either."""
        full = os.path.join(self.root, path)
        if os.path.islink(full):
            return os.fsencode(os.readlink(full))
        if not os.path.isfile(full):
            return None
        with os.fdopen(open_regular(full), "rb") as file:
            return file.read(LARGEST_FILE)  # more than any file of a release

    def in_the_way(self, head: str, desired: str) -> tuple[list[str], list[str]]:
        """Return files that differ between two commits and in the work tree, without sessions and groups.

        First those that somebody changed, then those that an interrupted checkout wrote, in whole or in part.
        """
        differ = {name for name in self.differing(head, desired) if not name.startswith(AGENT_PATHS)}
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
        """Whether a file's content differs from a commit's; a missing file does not count, git writes it again."""
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
        """Mark files as being written until `end`; `head` is the commit before."""
        with open(self.moving, "w", encoding="utf-8") as file:
            file.write(head)
        sync_file_system(self.root)

    def end(self) -> None:
        """Mark the move as complete."""
        if self.interrupted() is not None:
            os.unlink(self.moving)

    def foreign(self) -> list[str]:
        """Return what else lies in the project root before its first checkout."""
        if self.interrupted() is not None or not os.path.isdir(self.root):
            return []
        return sorted(name for name in os.listdir(self.root) if name not in ALLOWED)[:10]


def other_owner(root: str) -> Ids | None:
    """Return the owner of root's checkout on a server that squashes root; None if that is root, or we are not root.

    That owner writes the repository's configuration, which may name programs that git starts.
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


def become_worker(root: str, user: str, uid: int, gid: int) -> None:
    """Become the owner of root's checkout on a server that squashes root, else the host user."""
    if uid == 0 and (other := other_owner(root)):
        become_owner(other)
    else:
        become_user(user, uid, gid)


def become_owner(ids: Ids) -> None:
    """Become the owner of a checkout, without its supplementary groups and root's environment."""
    set_ids(ids)
    os.environ.clear()
    os.environ.update(OWNER_ENVIRONMENT)
    os.chdir("/")


def git_outside(*args: str, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    """Run git outside of the checkout."""
    try:
        return run_command(["git", *args], timeout=seconds, cwd="/")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(args, 124, "", f"no answer within {seconds} s")


def is_commit(ref: str) -> bool:
    """Return whether a ref looks like a commit id."""
    return re.fullmatch("[0-9a-f]{7,40}", ref) is not None


def shown_url(url: str | None) -> str | None:
    """Return a URL without user and password."""
    return re.sub("//[^@/]*@", "//", url) if url else url
