"""What a version of NanoClaw needs, read from its files and never from its tag."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.session_driver import SESSION_DRIVER
from files.pods.source.git_worktree import NO_PROGRAMS, Tree
from files.pods.source.protocol import Needs
from files.pods.source.skill_drivers import DRIVER, HEADLESS
from files.pods.source.skill_record import applied_files

MARKER_SCRIPT = "scripts/upgrade-state.ts"
SLUG_SOURCE = "src/install-slug.ts"
GATEWAYS = "src/gateway-providers"
AGENT_LOCK = "container/agent-runner/bun.lock"
ENGINES = (DRIVER, HEADLESS)
SKILL = re.compile(r"\.claude/skills/add-([a-z][a-z0-9-]{0,40})")
SCRIPT = re.compile(r"setup/install-([a-z][a-z0-9-]{0,40})\.sh")
TOOLS = frozenset({"claude", "codex-cli", "docker", "node", "signal-cli"})
"""What scripts of the setup install that is no channel."""
MOST_SKILLS = 100
BLOCK_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SIDE_EFFECT = re.compile(r"^\s*import\s+['\"]\./([^'\"]+)['\"]", re.MULTILINE)


class VersionFiles:
    """The files of a project root once a commit is checked out: the commit's, with local changes.

    A file that is the same in both commits keeps its local changes. The commit was fetched to `git_dir`.
    """

    def __init__(self, tree: Tree, head: str | None, desired: str, git_dir: str | None = None) -> None:
        self.tree, self.head, self.desired = tree, head, desired
        self.git_dir = git_dir or tree.git_dir

    def git(self, git_dir: str, *args: str) -> bytes | None:
        """Return the output of git, or None if it fails."""
        if git_dir == self.tree.git_dir:
            done = self.tree.data(*args)
        else:
            path = [*NO_PROGRAMS, "-c", f"safe.directory={git_dir}", "--git-dir", git_dir]
            done = subprocess.run(["git", *path, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        return done.stdout if done.returncode == 0 else None

    def entry(self, git_dir: str, commit: str, path: str) -> str:
        """Return the object of a path in a commit, or ""."""
        listed = (self.git(git_dir, "ls-tree", commit, "--", path) or b"").split()
        return listed[2].decode() if len(listed) > 2 and listed[1] in (b"blob", b"tree") else ""

    def differs(self, path: str) -> bool:
        """Whether a path differs between the two commits."""
        before = self.entry(self.tree.git_dir, self.head, path) if self.head else ""
        return before != self.entry(self.git_dir, self.desired, path)

    def stays(self, path: str) -> bool:
        """Whether the work tree's file stays after the switch."""
        return self.head is not None and (self.head == self.desired or not self.differs(path))

    def text(self, path: str) -> str | None:
        """Return the text of a file after the switch, or None."""
        return read_untrusted_text(os.path.join(self.tree.root, path)) if self.stays(path) else self.committed(path)

    def committed(self, path: str) -> str | None:
        """Return the text of a file in the commit, or None."""
        name = self.entry(self.git_dir, self.desired, path)
        content = self.git(self.git_dir, "cat-file", "blob", name) if name else None
        return None if content is None else content[: 1 << 20].decode("utf-8", "replace")

    def names(self, folder: str) -> list[str]:
        """Return the paths in a folder of the commit."""
        listed = self.git(self.git_dir, "ls-tree", "-z", "--name-only", self.desired, "--", f"{folder}/") or b""
        return [path for path in listed.decode("utf-8", "replace").split("\0") if path]

    def knows(self, names: list[str]) -> set[str]:
        """Return the names that stand in quotes in its sources, or in sources that were added here."""
        if not names:
            return set()
        patterns = [word for name in names for quote in "'\"`" for word in ("-e", f"{quote}{name}{quote}")]
        if self.head == self.desired:
            text = self.tree.run("grep", "-I", "-h", "-o", "-F", "--untracked", *patterns, "--", "src").stdout
        else:
            grep = ("grep", "-I", "-h", "-o", "-F", *patterns, self.desired, "--", "src")
            text = (self.git(self.git_dir, *grep) or b"").decode("utf-8", "replace") + self.changed_here()
        return {name for name in names for quote in "'\"`" if f"{quote}{name}{quote}" in text}

    def changed_here(self) -> str:
        """Return the text of sources that a channel or an operator added."""
        if self.head is None:
            return ""
        listed = self.tree.run("ls-files", "-z", "--others", "--exclude-standard", "--", "src").stdout
        paths = [path for path in listed.split("\0") if path][:1000]
        return "".join(read_untrusted_text(os.path.join(self.tree.root, path)) or "" for path in paths)


def skills_of(files: VersionFiles) -> tuple[str, ...]:
    """Return the gateways and channels that its own setup can apply: by a skill engine, or by a script each."""
    names = {match[1] for path in files.names("setup") if (match := SCRIPT.fullmatch(path))}
    if any(files.entry(files.git_dir, files.desired, path) for path in ENGINES):
        names |= {match[1] for path in files.names(".claude/skills") if (match := SKILL.fullmatch(path))}
    return tuple(sorted(names - TOOLS))[:MOST_SKILLS]


def read_needs(files: VersionFiles) -> Needs | None:
    """Return what the version needs; None if package.json cannot be read."""
    try:
        package = json.loads(files.text("package.json") or "")
        engines, desired = package.get("engines") or {}, package.get("dependencies") or {}
        node, version = engines.get("node"), str(package.get("version"))
        sdk, sqlite = desired.get("@onecli-sh/sdk"), desired.get("better-sqlite3")
    except (ValueError, AttributeError):
        return None
    return Needs(
        version=version[:60],
        node=str(node)[:200] if node else None,
        sqlite=first_number(sqlite),
        api=(first_number(sdk) or 0) >= 1,
        gateway=lacks_gateway(files),
        skills=skills_of(files),
        marker=files.text(MARKER_SCRIPT) is not None,
        slug=files.text(SLUG_SOURCE) is not None,
        driver=files.text(SESSION_DRIVER) is not None,
    )


def first_number(spec: Any) -> int | None:
    """Return the major version of a dependency, or None."""
    match = re.search(r"[0-9]{1,6}", str(spec)) if spec else None
    return int(match[0]) if match else None


def lacks_gateway(files: VersionFiles) -> bool:
    """Whether it needs a gateway and registers none by itself: then the host process exits at its start.

    What the role has applied does not count: it applies that again.
    """
    place = f"{GATEWAYS}/installed.ts"
    installed = files.committed(place) if place in applied_files(files.tree) else files.text(place)
    if installed is None:
        return False
    texts = installed, files.text(f"{GATEWAYS}/index.ts") or ""
    names = [name for text in texts for name in SIDE_EFFECT.findall(BLOCK_COMMENT.sub("", text))]
    return all(name.startswith(("installed.", "gateway-provider-registry.")) for name in names)
