"""Copies what a NanoClaw v1 has of groups, conversations, pairing, skills to v2, with rsync(1).

Argument: {"v1": project root, "root": v2's, "user", "uid", "gid": of the host user, "v1_home": home with v1's
allow-lists or null, "hard_links": whether they are kept, "final": bool, "seconds"}. Root reads, the host user writes:
what v2 has is born as the host makes it, on any file system. What is there already is only touched where it differs;
what v1 has no more goes. Kept: links (as links), times, modes, nested .git; hard links but where files of one name
alone can be given to the agent. Left: sockets, pipes and devices, node_modules, logs of groups, skills that v2 has
itself. Never touched in v2: memory and configuration, which NanoClaw's own steps write.

Agents write in each directory that is read: its reader sees nothing else of this machine (files/pods/v1/confine.py).
What vanishes meanwhile is tried again, and while v1 serves (not `final`) it is left to the last copy.
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
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_ids import run_as
from files.pods.source.git_worktree import Tree
from files.pods.trees.entry import open_directory
from files.pods.v1.confine import directory_below
from files.pods.v1.rsync_confined import RsyncError, pull

OWN = ("CLAUDE.md", "CLAUDE.local.md", "CLAUDE.global.md", "container.json", "logs/")
"""At the top of a group: made by NanoClaw's own steps from v1's, or left."""
TRIES = 4


class Copier:
    """No link on the way to a source is followed: agents of v1 write in its tree, and root reads here."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.end = time.monotonic() + asked["seconds"]
        self.bytes = 0
        self.top = os.path.realpath(asked["v1"])
        os.close(open_directory(self.top))

    def folders(self, *path: str) -> list[str]:
        """The directories in a directory of v1; links do not count."""
        handle = directory_below(self.top, *path)
        if handle is None:
            return []
        try:
            with os.scandir(handle) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        finally:
            os.close(handle)

    def is_there(self, *path: str) -> bool:
        handle = directory_below(self.top, *path)
        if handle is not None:
            os.close(handle)
        return handle is not None

    def copy(self, source: tuple[str, ...], target: str, *options: str) -> None:
        """What is in one directory of v1. One that vanished meanwhile is none."""
        ids = (self.asked["uid"], self.asked["gid"])
        kept = "-rlptH" if self.asked["hard_links"] else "-rlpt"
        for tries_left in reversed(range(TRIES)):
            left = self.end - time.monotonic()
            if left <= 0:
                sys.exit(f"no time was left to copy to {target}")
            try:
                self.bytes += pull(self.top, source, target, [kept, *options], ids, left)
                return
            except FileNotFoundError:
                if not self.is_there(*source):
                    return
                failed = f"{'/'.join(source)} comes and goes"
            except RsyncError as error:
                failed = f"rsync to {target} ({error})"
                if not error.vanished:
                    sys.exit(failed)
            if not tries_left and self.asked["final"]:
                sys.exit(failed)
            time.sleep(0.2)

    def everything(self) -> None:
        root = self.asked["root"]
        for folder in self.folders("groups"):
            made = [f"--exclude=/{name}" for name in OWN]
            self.copy(("groups", folder), f"{root}/groups/{folder}/", "--delete", "--exclude=node_modules/", *made)
        skills = self.own_skills()
        for folder, group in self.agent_groups().items():
            self.conversations(folder, group, skills)
        if self.is_there("store", "auth"):
            self.copy(("store", "auth"), f"{root}/store/auth/", "--delete", "--chmod=D0700,F0600")
        for name in self.folders("container", "skills"):
            if name not in skills:
                self.copy(("container", "skills", name), f"{root}/container/skills/{name}/", "--delete")
        self.allow_list()

    def own_skills(self) -> list[str]:
        """The skills of v2's own source, as the host user's git lists them."""
        root = self.asked["root"]
        listed = self.as_host(lambda: Tree(root).names("ls-tree", "-z", "--name-only", "HEAD", "container/skills/"))
        return sorted(os.path.basename(path) for path in listed)

    def as_host(self, work: Callable[[], Any]) -> Any:
        """What `work` returns as the host user, whose tree v2's is."""
        answer = run_as((self.asked["uid"], self.asked["gid"]), 60, work)
        if "value" not in answer:
            sys.exit(f"{self.asked['root']}: {answer['text']}")
        return answer["value"]

    def agent_groups(self) -> dict[str, str]:
        """v2's agent groups by folder."""

        def read() -> dict[str, str]:
            database = sqlite3.connect(f"file:{self.asked['root']}/data/v2.db?mode=rw", uri=True, timeout=30)
            try:
                return dict(database.execute("SELECT folder, id FROM agent_groups"))
            finally:
                database.close()

        found: dict[str, str] = self.as_host(read)
        return found

    def conversations(self, folder: str, group: str, skills: list[str]) -> None:
        source = ("data", "sessions", folder, ".claude")
        if not self.is_there(*source):
            return
        target = f"{self.asked['root']}/data/v2-sessions/{group}/.claude-shared"
        # v2 links the skills that its checkout has; a copy in their place would be the old one for ever.
        linked = {*skills, *self.folders("container", "skills")}
        left = [f"--exclude=/skills/{name}" for name in sorted(linked)]
        self.copy(source, f"{target}/", "--delete", "--exclude=/projects/-workspace-agent", *left)
        talks = (*source, "projects", "-workspace-group")
        # A link that an agent left in v1 is a link in v2: nothing is written through one.
        if self.is_there(*talks) and self.as_host(lambda: is_plain(target, "projects", "-workspace-agent")):
            # v1's agents worked in /workspace/group, v2's work in /workspace/agent; a conversation goes by its place.
            self.copy(talks, f"{target}/projects/-workspace-agent/", "--delete")

    def allow_list(self) -> None:
        """v1's mount allow-list, which its owner reads and the host user writes, where v2's home has none."""
        home = self.asked["v1_home"]
        if not home:
            return
        name = ".config/nanoclaw/mount-allowlist.json"
        owner = os.stat(home)
        read = run_as((owner.st_uid, owner.st_gid), 60, lambda: read_untrusted_text(f"{home}/{name}"))
        if "value" not in read:
            sys.exit(f"{home}/{name}: {read['text']}")
        if read["value"] is not None:
            target = f"{pwd.getpwuid(self.asked['uid']).pw_dir}/{name}"
            self.as_host(lambda: None if os.path.lexists(target) else write(target, read["value"]))


def write(path: str, text: str) -> None:
    replace(path, text.encode(), 0o600)


def is_plain(above: str, *path: str) -> bool:
    """Whether no part of a path below a directory is a link; what is not there yet is none."""
    for part in path:
        above = f"{above}/{part}"
        if os.path.islink(above):
            return False
    return True


if __name__ == "__main__":
    begun = time.monotonic()
    copier = Copier(json.loads(sys.argv[1]))
    try:
        copier.everything()
    except subprocess.TimeoutExpired as late:
        sys.exit(f"no end of the copies in time: {late}")
    print(json.dumps({"bytes": copier.bytes, "seconds": round(time.monotonic() - begun, 1)}))
