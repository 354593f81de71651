"""Copies what a NanoClaw v1 has of groups, conversations, pairing, skills to v2, with rsync(1).

Argument: {"v1": project root, "root": v2's, "user", "uid", "gid": of the host user, "v1_home": home with v1's
allow-lists or null, "final": bool, "seconds"}. Root reads, the host user writes: what v2 has is born as the host
makes it, on any file system. What is there already is only touched where it differs; what v1 has no more goes.
Kept: links (as links), times, modes, hard links, nested .git. Left: sockets, pipes and devices, node_modules, logs of
groups, skills that v2 has itself. Never touched in v2: memory and configuration, which NanoClaw's own steps write.

While v1 serves (not `final`) a file may vanish under the copy. Answer: {"bytes": sent, "seconds": spent}.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
import subprocess
import sys
import time
from typing import Any

from files.programs.acting import acting

OWN = ("CLAUDE.md", "CLAUDE.local.md", "CLAUDE.global.md", "container.json", "logs/")
"""At the top of a group: made by NanoClaw's own steps from v1's, or left."""
VANISHED = 24  # rsync(1), EXIT VALUES


class Copier:
    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.end = time.monotonic() + asked["seconds"]
        self.bytes = 0

    def copy(self, source: str | list[str], target: str, *options: str) -> None:
        """What is in a directory, or one file, or several directories themselves.

        With no shell in between, what is rsync's host for its --rsh is the program that runs there: env(1).
        """
        ids = f"--reuid={self.asked['uid']} --regid={self.asked['gid']}"
        words = ["rsync", "-rlptH", "--secluded-args" if newer() else "--protect-args", "--mkpath", "--stats"]
        words += [f"--rsh=setpriv {ids} --clear-groups", "--timeout=300", *options]
        words += [*([source] if isinstance(source, str) else source), f"env:{target}"]
        left = self.end - time.monotonic()
        if left <= 0:
            sys.exit(f"no time was left to copy {source}")
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=left, check=False
        )
        if done.returncode not in ((0,) if self.asked["final"] else (0, VANISHED)):
            sys.exit(f"rsync to {target} (status {done.returncode}): {done.stderr.strip()[-2000:]}")
        sent = re.search(r"Total transferred file size: ([0-9,.]+)", done.stdout)
        self.bytes += int(re.sub("[,.]", "", sent[1])) if sent else 0

    def everything(self) -> None:
        v1, root = self.asked["v1"], self.asked["root"]
        folders = [f"{v1}/groups/./{folder}" for folder in self.listed(f"{v1}/groups")]
        if folders:
            # What is before /./ is not made at the target, so that the top of each group is /GROUP for the patterns.
            made = [f"--exclude=/*/{name}" for name in OWN]
            self.copy(folders, f"{root}/groups/", "--relative", "--delete", "--exclude=node_modules/", *made)
        skills = self.own_skills()
        for folder, group in self.agent_groups().items():
            self.conversations(f"{v1}/data/sessions/{folder}/.claude", group, skills)
        if os.path.isdir(f"{v1}/store/auth"):
            self.copy(f"{v1}/store/auth/", f"{root}/store/auth/", "--delete", "--chmod=D0700,F0600")
        self.skills(skills)
        self.allow_list()

    def own_skills(self) -> list[str]:
        """The skills of v2's own source."""
        words = ["git", "-c", "safe.directory=*", "-C", self.asked["root"], "ls-tree", "-z", "--name-only", "HEAD"]
        done = subprocess.run([*words, "container/skills/"], capture_output=True, text=True, timeout=60, check=True)
        return sorted(os.path.basename(path) for path in done.stdout.split("\0") if path)

    def agent_groups(self) -> dict[str, str]:
        """v2's agent groups by folder, read as the host user, whose database it is."""

        def read() -> dict[str, str]:
            database = sqlite3.connect(f"file:{self.asked['root']}/data/v2.db?mode=rw", uri=True, timeout=30)
            try:
                return dict(database.execute("SELECT folder, id FROM agent_groups"))
            finally:
                database.close()

        answer = acting((self.asked["uid"], self.asked["gid"]), 60, read)
        if "value" not in answer:
            sys.exit(f"v2's database cannot be read: {answer['text']}")
        found: dict[str, str] = answer["value"]
        return found

    def conversations(self, source: str, group: str, skills: list[str]) -> None:
        if not os.path.isdir(source) or os.path.islink(source):
            return
        target = f"{self.asked['root']}/data/v2-sessions/{group}/.claude-shared"
        # v2 links the skills that its checkout has; a copy in their place would be the old one for ever.
        linked = {*skills, *self.listed(f"{self.asked['v1']}/container/skills")}
        left = [f"--exclude=/skills/{name}" for name in sorted(linked)]
        self.copy(f"{source}/", f"{target}/", "--delete", "--exclude=/projects/-workspace-agent", *left)
        if os.path.isdir(f"{source}/projects/-workspace-group"):
            # v1's agents worked in /workspace/group, v2's work in /workspace/agent; a conversation goes by its place.
            self.copy(f"{source}/projects/-workspace-group/", f"{target}/projects/-workspace-agent/", "--delete")

    def skills(self, known: list[str]) -> None:
        place = f"{self.asked['v1']}/container/skills"
        for name in self.listed(place):
            if name not in known:
                self.copy(f"{place}/{name}/", f"{self.asked['root']}/container/skills/{name}/", "--delete")

    @staticmethod
    def listed(place: str) -> list[str]:
        """The directories in a directory; links do not count."""
        if not os.path.isdir(place) or os.path.islink(place):
            return []
        return sorted(entry.name for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False))

    def allow_list(self) -> None:
        if not self.asked["v1_home"]:
            return
        source = f"{self.asked['v1_home']}/.config/nanoclaw/mount-allowlist.json"
        if os.path.isfile(source):
            target = f"{pwd.getpwuid(self.asked['uid']).pw_dir}/.config/nanoclaw/"
            self.copy(source, target, "--ignore-existing", "--chmod=F0600")


def newer() -> bool:
    """Whether rsync calls the option by its newer name (3.2.7 and later)."""
    said = subprocess.run(["rsync", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    return bool(found) and tuple(map(int, found.groups())) >= (3, 2, 7) if found else False


if __name__ == "__main__":
    begun = time.monotonic()
    copier = Copier(json.loads(sys.argv[1]))
    try:
        copier.everything()
    except subprocess.TimeoutExpired as late:
        sys.exit(f"no end of the copies in time: {late}")
    print(json.dumps({"bytes": copier.bytes, "seconds": round(time.monotonic() - begun, 1)}))
