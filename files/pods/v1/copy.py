"""Copy groups, conversations, pairing and skills of a NanoClaw v1 to v2 with rsync(1).

Root reads and the host user writes, so that v2's files have the host's owner from the start, on any file system. It
writes only files that differ, and deletes files that v1 no longer has. Kept: links (as links), times, modes, nested
.git; hard links, unless only files with one link can be chowned to the agent. Skipped: sockets, pipes and devices,
node_modules, logs of groups, skills that v2 has itself. Never written in v2: memory and configuration, which NanoClaw's
own steps write.

Agents write in each directory that is read, so its reader sees nothing else of this machine (files/pods/v1/confine.py).
A copy is tried again if files vanish meanwhile. While v1 serves (not `final`), the last copy makes up for them.
Answer: {"bytes": sent, "seconds": spent}.
"""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_ids import run_as
from files.pods.source.git_worktree import Tree
from files.pods.trees.entry import open_directory
from files.pods.v1.confine import directory_below
from files.pods.v1.protocol import CopyRequest
from files.pods.v1.rsync_confined import RsyncError, pull

OWN = ("CLAUDE.md", "CLAUDE.local.md", "CLAUDE.global.md", "container.json", "logs/")
"""At the top of a group: NanoClaw's own steps make them from v1's, or they are skipped."""
TRIES = 4


class Copier:
    """Copy as root without following a link on the path to a source: agents of v1 write in its tree."""

    def __init__(self, request: CopyRequest) -> None:
        self.request = request
        self.end = time.monotonic() + request.seconds
        self.bytes = 0
        self.top = os.path.realpath(request.v1)
        os.close(open_directory(self.top))

    def folders(self, *path: str) -> list[str]:
        """Return the directories in a directory of v1, without links."""
        fd = directory_below(self.top, *path)
        if fd is None:
            return []
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        finally:
            os.close(fd)

    def exists(self, *path: str) -> bool:
        """Return whether v1 has a directory."""
        fd = directory_below(self.top, *path)
        if fd is not None:
            os.close(fd)
        return fd is not None

    def copy(self, source: tuple[str, ...], target: str, *options: str) -> None:
        """Copy one directory of v1; skip one that has vanished."""
        ids = (self.request.uid, self.request.gid)
        kept = "-rlptH" if self.request.hard_links else "-rlpt"
        for tries_left in reversed(range(TRIES)):
            left = self.end - time.monotonic()
            if left <= 0:
                sys.exit(f"no time was left to copy to {target}")
            try:
                self.bytes += pull(self.top, source, target, [kept, *options], ids, left)
                return
            except FileNotFoundError:
                if not self.exists(*source):
                    return
                failed = f"{'/'.join(source)} vanishes and comes back"
            except RsyncError as error:
                failed = f"rsync to {target} ({error})"
                if not error.vanished:
                    sys.exit(failed)
            if not tries_left and self.request.final:
                sys.exit(failed)
            time.sleep(0.2)

    def copy_all(self) -> None:
        """Copy groups, conversations, pairing, skills and the mount allow-list."""
        root = self.request.root
        for folder in self.folders("groups"):
            excluded = [f"--exclude=/{name}" for name in OWN]
            self.copy(("groups", folder), f"{root}/groups/{folder}/", "--delete", "--exclude=node_modules/", *excluded)
        skills = self.own_skills()
        for folder, group in self.agent_groups().items():
            self.copy_conversations(folder, group, skills)
        if self.exists("store", "auth"):
            self.copy(("store", "auth"), f"{root}/store/auth/", "--delete", "--chmod=D0700,F0600")
        for name in self.folders("container", "skills"):
            if name not in skills:
                self.copy(("container", "skills", name), f"{root}/container/skills/{name}/", "--delete")
        self.copy_allow_list()

    def own_skills(self) -> list[str]:
        """Return the skills of v2's own source, as the host user's git lists them."""
        root = self.request.root
        listed = self.as_host(lambda: Tree(root).names("ls-tree", "-z", "--name-only", "HEAD", "container/skills/"))
        return sorted(os.path.basename(path) for path in listed)

    def as_host(self, work: Callable[[], Any]) -> Any:
        """Return the result of `work` as the host user, who owns v2's tree."""
        answer = run_as((self.request.uid, self.request.gid), 60, work)
        if "value" not in answer:
            sys.exit(f"{self.request.root}: {answer['text']}")
        return answer["value"]

    def agent_groups(self) -> dict[str, str]:
        """Return v2's agent groups by folder."""

        def read() -> dict[str, str]:
            database = sqlite3.connect(f"file:{self.request.root}/data/v2.db?mode=rw", uri=True, timeout=30)
            try:
                return dict(database.execute("SELECT folder, id FROM agent_groups"))
            finally:
                database.close()

        agents: dict[str, str] = self.as_host(read)
        return agents

    def copy_conversations(self, folder: str, group: str, skills: list[str]) -> None:
        """Copy the .claude of a group, and its conversations to where v2's agents look."""
        source = ("data", "sessions", folder, ".claude")
        if not self.exists(*source):
            return
        target = f"{self.request.root}/data/v2-sessions/{group}/.claude-shared"
        # v2 links the skills of its checkout; a copy in their place would stay the old version.
        linked = {*skills, *self.folders("container", "skills")}
        excluded = [f"--exclude=/skills/{name}" for name in sorted(linked)]
        self.copy(source, f"{target}/", "--delete", "--exclude=/projects/-workspace-agent", *excluded)
        conversations = (*source, "projects", "-workspace-group")
        # A link that an agent left in v1 is a link in v2: write nothing through it.
        if self.exists(*conversations) and self.as_host(lambda: is_plain(target, "projects", "-workspace-agent")):
            # v1's agents worked in /workspace/group, v2's work in /workspace/agent; the path names a conversation.
            self.copy(conversations, f"{target}/projects/-workspace-agent/", "--delete")

    def copy_allow_list(self) -> None:
        """Copy v1's mount allow-list, if v2's home has none: its owner reads, the host user writes."""
        home = self.request.v1_home
        if not home:
            return
        name = ".config/nanoclaw/mount-allowlist.json"
        owner = os.stat(home)
        read = run_as((owner.st_uid, owner.st_gid), 60, lambda: read_untrusted_text(f"{home}/{name}"))
        if "value" not in read:
            sys.exit(f"{home}/{name}: {read['text']}")
        if read["value"] is not None:
            target = f"{pwd.getpwuid(self.request.uid).pw_dir}/{name}"
            self.as_host(lambda: None if os.path.lexists(target) else write(target, read["value"]))


def write(path: str, text: str) -> None:
    """Write a file, 0600."""
    replace(path, text.encode(), 0o600)


def is_plain(above: str, *path: str) -> bool:
    """Return whether no part of a path below a directory is a link; a missing part is none."""
    for part in path:
        above = f"{above}/{part}"
        if os.path.islink(above):
            return False
    return True


if __name__ == "__main__":
    started = time.monotonic()
    copier = Copier(read_request(CopyRequest))
    try:
        copier.copy_all()
    except subprocess.TimeoutExpired as late:
        sys.exit(f"the copies did not finish in time: {late}")
    print(json.dumps({"bytes": copier.bytes, "seconds": round(time.monotonic() - started, 1)}))
