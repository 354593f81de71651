"""Copies what a NanoClaw v1 has of groups, conversations, pairing, skills to v2, with rsync(1).

Argument: {"v1": project root, "root": v2's, "user", "uid", "gid": of the host user, "v1_home": home with v1's
allow-lists or null, "hard_links": whether they are kept, "final": bool, "seconds"}. Root reads, the host user writes:
what v2 has is born as the host makes it, on any file system. What is there already is only touched where it differs;
what v1 has no more goes. Kept: links (as links), times, modes, nested .git; hard links but where files of one name
alone can be given to the agent. Left: sockets, pipes and devices, node_modules, logs of groups, skills that v2 has
itself. Never touched in v2: memory and configuration, which NanoClaw's own steps write.

While v1 serves (not `final`) a file may vanish under the copy. Answer: {"bytes": sent, "seconds": spent}.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from files.programs.acting import acting

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OWN = ("CLAUDE.md", "CLAUDE.local.md", "CLAUDE.global.md", "container.json", "logs/")
"""At the top of a group: made by NanoClaw's own steps from v1's, or left."""
VANISHED = 24  # rsync(1), EXIT VALUES


class Copier:
    """No link on the way to a source is followed: agents of v1 write in its tree, and root reads here."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.end = time.monotonic() + asked["seconds"]
        self.bytes = 0
        self.top = os.open(os.path.realpath(asked["v1"]), FOLDER)

    def opened(self, *path: str) -> int | None:
        """A directory of v1, reached without a link; None where there is none."""
        handle = os.dup(self.top)
        for part in path:
            try:
                below = os.open(part, FOLDER, dir_fd=handle)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
                return None
            finally:
                os.close(handle)
            handle = below
        return handle

    def copy(self, source: int | str, target: str, *options: str, names: list[str] | None = None) -> None:
        """What is in a directory that is open, or those of its directories that are named; or one file.

        With no shell in between, what is rsync's host for its --rsh is the program that runs there: env(1).
        """
        ids = f"--reuid={self.asked['uid']} --regid={self.asked['gid']}"
        words = [
            "rsync",
            "-rlptH" if self.asked["hard_links"] else "-rlpt",
            "--secluded-args" if newer() else "--protect-args",
            "--mkpath",
            "--stats",
        ]
        words += [f"--rsh=setpriv {ids} --clear-groups", "--timeout=300", *options]
        if isinstance(source, int):
            # What is before /./ is not made at the target (--relative), so that each named one is at its top.
            place = f"/proc/self/fd/{source}/"
            words += [f"{place}./{name}" for name in names] if names else [place]
        else:
            words.append(source)
        left = self.end - time.monotonic()
        if left <= 0:
            sys.exit(f"no time was left to copy to {target}")
        handles = (source,) if isinstance(source, int) else ()
        done = subprocess.run(
            [*words, f"env:{target}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=left,
            pass_fds=handles,
            check=False,
        )
        if done.returncode not in ((0,) if self.asked["final"] else (0, VANISHED)):
            sys.exit(f"rsync to {target} (status {done.returncode}): {done.stderr.strip()[-2000:]}")
        sent = re.search(r"Total transferred file size: ([0-9,.]+)", done.stdout)
        self.bytes += int(re.sub("[,.]", "", sent[1])) if sent else 0

    def everything(self) -> None:
        root = self.asked["root"]
        if (groups := self.opened("groups")) is not None and (folders := listed(groups)):
            made = [f"--exclude=/*/{name}" for name in OWN]
            options = ("--relative", "--delete", "--exclude=node_modules/", *made)
            self.copy(groups, f"{root}/groups/", *options, names=folders)
        skills = self.own_skills()
        for folder, group in self.agent_groups().items():
            self.conversations(folder, group, skills)
        if (auth := self.opened("store", "auth")) is not None:
            self.copy(auth, f"{root}/store/auth/", "--delete", "--chmod=D0700,F0600")
        self.skills(skills)
        self.allow_list()

    def own_skills(self) -> list[str]:
        """The skills of v2's own source."""
        words = ["git", "-c", "safe.directory=*", "-C", self.asked["root"], "ls-tree", "-z", "--name-only", "HEAD"]
        done = subprocess.run([*words, "container/skills/"], capture_output=True, text=True, timeout=60, check=True)
        return sorted(os.path.basename(path) for path in done.stdout.split("\0") if path)

    def as_host(self, work: Callable[[], Any]) -> Any:
        """What `work` returns as the host user, whose tree v2's is."""
        answer = acting((self.asked["uid"], self.asked["gid"]), 60, work)
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
        source = self.opened("data", "sessions", folder, ".claude")
        if source is None:
            return
        target = f"{self.asked['root']}/data/v2-sessions/{group}/.claude-shared"
        # v2 links the skills that its checkout has; a copy in their place would be the old one for ever.
        there = self.opened("container", "skills")
        linked = {*skills, *(listed(there) if there is not None else ())}
        left = [f"--exclude=/skills/{name}" for name in sorted(linked)]
        self.copy(source, f"{target}/", "--delete", "--exclude=/projects/-workspace-agent", *left)
        talks = self.opened("data", "sessions", folder, ".claude", "projects", "-workspace-group")
        # A link that an agent left in v1 is a link in v2: nothing is written through one.
        if talks is not None and self.as_host(lambda: is_plain(target, "projects", "-workspace-agent")):
            # v1's agents worked in /workspace/group, v2's work in /workspace/agent; a conversation goes by its place.
            self.copy(talks, f"{target}/projects/-workspace-agent/", "--delete")

    def skills(self, known: list[str]) -> None:
        place = self.opened("container", "skills")
        for name in listed(place) if place is not None else ():
            if name not in known and (skill := self.opened("container", "skills", name)) is not None:
                self.copy(skill, f"{self.asked['root']}/container/skills/{name}/", "--delete")

    def allow_list(self) -> None:
        if not self.asked["v1_home"]:
            return
        source = f"{self.asked['v1_home']}/.config/nanoclaw/mount-allowlist.json"
        if os.path.isfile(source) and not os.path.islink(source):
            target = f"{pwd.getpwuid(self.asked['uid']).pw_dir}/.config/nanoclaw/"
            self.copy(source, target, "--ignore-existing", "--chmod=F0600")


def listed(place: int) -> list[str]:
    """The directories in a directory that is open; links do not count."""
    with os.scandir(place) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))


def is_plain(above: str, *path: str) -> bool:
    """Whether no part of a path below a directory is a link; what is not there yet is none."""
    for part in path:
        above = f"{above}/{part}"
        if os.path.islink(above):
            return False
    return True


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
