"""Audit of files: each of v1 against v2. For programs that import it. Of secrets only names are shown."""

from __future__ import annotations

import os
import pwd
import stat

from files.pods.common.dotenv import V1_HEADING, effective_entries, safe_labels, unread_lines
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.v1.audit.chats import Group
from files.pods.v1.audit.entries import Below, owner_problem, same_time, type_of
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.audit.protocol import AuditRequest, Homes
from files.pods.v1.audit.walk import Entry

CONVERSATIONS = ["projects", "-workspace-group"]
IN_V2 = ["projects", "-workspace-agent"]
GLOBAL = "CLAUDE.global.md"
IMPORT = b"@./CLAUDE.global.md\n"
OF_V2 = (["skills"], ["settings.json"])
"""In the .claude of a group, v2 has its own."""
OTHER_LIST = "v2's home has another one, which stays"
"""Of the mount allow-list: an operator put it there."""


class Files:
    """Compare each entry of v1 with v2."""

    def __init__(
        self, request: AuditRequest, v2: Below, groups: dict[str, Group], agents: dict[str, str], ledger: Ledger
    ) -> None:
        self.v2, self.groups, self.agents, self.ledger = v2, groups, agents, ledger
        self.agent, self.host, self.deep = request.agent, request.host, request.deep

    def take(self, entry: Entry) -> None:
        """Compare one entry."""
        parts = entry.parts
        if parts[0] == "groups" and len(parts) == 2 and not stat.S_ISDIR(entry.stat.st_mode):
            self.ledger.skip(f"file {entry.path}", "lies beside the groups, where no agent sees it")
        elif parts[0] == "groups" and len(parts) > 1:
            self.check_group_entry(entry)
        elif parts[:2] == ["data", "sessions"] and parts[3:4] == [".claude"] and len(parts) > 4:
            self.check_claude_entry(entry)
        elif parts[:2] == ["store", "auth"] and len(parts) > 2:
            self.check_pairing(entry)
        elif parts[:2] == ["container", "skills"] and len(parts) == 3:
            there = self.v2.lstat(parts)
            self.ledger.judge("skills", f"skill {parts[2]}", "" if there else "not there")

    def check_group_entry(self, entry: Entry) -> None:
        """Compare an entry of groups."""
        parts = entry.parts
        if "node_modules" in parts or parts[2:3] == ["logs"]:
            return
        if parts[2:3] != ["CLAUDE.md"]:
            self.check_entry("files", f"file {entry.path}", entry, parts)
        elif len(parts) == 3:
            self.check_memory(entry)

    def check_memory(self, entry: Entry) -> None:
        """Compare the memory of a group, or the memory that all groups share."""
        folder = entry.parts[1]
        content = entry.content() if stat.S_ISREG(entry.stat.st_mode) else None
        if content is None:
            kind = type_of(entry.stat.st_mode)
            self.ledger.judge("memories", f"memory {folder}", f"is {kind} in v1, which is not migrated")
        elif folder != "global":
            own = ["groups", folder, "CLAUDE.local.md"]
            why = self.text_problem(own, (content, IMPORT + content))
            self.ledger.judge("memories", f"memory {folder}", why)
        else:
            others = [name for name, group in self.groups.items() if not group.main]
            whys = {name: self.text_problem(["groups", name, GLOBAL], (content,)) for name in others}
            incomplete = [name for name in others if whys[name]]
            self.ledger.counts["memories"]["v1"] += 1
            self.ledger.counts["memories"]["v2"] += not incomplete
            for name in incomplete:
                self.ledger.lose(f"memory global of {name}", whys[name])

    def text_problem(self, parts: list[str], texts: tuple[bytes, ...]) -> str:
        """Return how a file of v2 differs from these texts; empty if it does not."""
        info, content = self.v2.lstat(parts), self.v2.content(parts)
        if info is None or content is None:
            return f"{parts[-1]} is not there"
        return owner_problem(info, self.agent) if content in texts else f"{parts[-1]} has another text"

    def check_claude_entry(self, entry: Entry) -> None:
        """Compare an entry of a group's .claude, with its conversations."""
        folder, rest = entry.parts[2], entry.parts[4:]
        if folder not in self.groups:
            self.ledger.skip(f"conversations {folder}", "no group that is migrated has them")
            return
        if rest[:1] in OF_V2:
            return
        into = IN_V2 + rest[2:] if rest[:2] == CONVERSATIONS else rest
        place = ["data", "v2-sessions", self.agents.get(folder, ""), ".claude-shared", *into]
        if rest[:-1] == CONVERSATIONS and rest[-1].endswith(".jsonl") and stat.S_ISREG(entry.stat.st_mode):
            self.ledger.judge(
                "conversations", f"conversation {folder}/{rest[-1]}", self.problem(entry, place, self.agent)
            )
        else:
            self.check_entry("files", f"file {entry.path}", entry, place)

    def check_entry(self, kind: str, what: str, entry: Entry, place: list[str]) -> None:
        """Compare an entry with its copy at a path of v2."""
        if type_of(entry.stat.st_mode) not in ("a directory", "a file", "a link"):
            self.ledger.skip(what, "a socket, pipe or device")
            return
        why = self.problem(entry, place, self.agent)
        if (
            why == "not there"
            and self.v2.directory(place[:-1]) is None
            and entry.parts[-2] not in ("groups", ".claude")
        ):
            self.ledger.counts[kind]["v1"] += 1  # its directory is listed as lost already
            return
        self.ledger.judge(kind, what, why)

    def problem(self, entry: Entry, place: list[str], owner: tuple[int, int], content: bool = False) -> str:
        """Return how the copy in v2 differs; empty if it does not."""
        was, info = entry.stat, self.v2.lstat(place)
        if info is None:
            return "not there"
        if type_of(info.st_mode) != type_of(was.st_mode):
            return f"is {type_of(info.st_mode)} instead of {type_of(was.st_mode)}"
        if entry.target and self.v2.target(place) != entry.target:
            return "has another target"
        if stat.S_ISREG(was.st_mode):
            if info.st_size != was.st_size:
                return f"has {info.st_size} bytes instead of {was.st_size}"
            # A time alone proves no loss: an NFS client with a delegation may show its own until it returns that.
            doubtful = content or self.deep or not same_time(was.st_mtime_ns, info.st_mtime_ns)
            if doubtful and self.v2.digest(place) != entry.digest():
                return "has other content"
            if not content and (info.st_mode ^ was.st_mode) & 0o700:
                return f"has mode {stat.S_IMODE(info.st_mode):04o} instead of {stat.S_IMODE(was.st_mode):04o}"
        return owner_problem(info, owner)

    def check_pairing(self, entry: Entry) -> None:
        """Compare a file of the pairing with WhatsApp by content, not by time."""
        what = f"auth {'/'.join(entry.parts[2:])}"
        why = self.problem(entry, entry.parts, self.host, content=True)
        if not stat.S_ISREG(entry.stat.st_mode):
            if why:
                self.ledger.lose(what, why)
            return
        self.ledger.judge("auth", what, why or self.mode_problem(entry.parts))

    def mode_problem(self, parts: list[str]) -> str:
        """Return which mode a file has instead of 0600; empty if it has that."""
        info = self.v2.lstat(parts)
        mode = stat.S_IMODE(info.st_mode) if info else 0
        return "" if mode == 0o600 else f"has mode {mode:04o} instead of 0600"

    def env(self, v1: Below, names: list[str]) -> None:
        """Compare the entries of .env; the role sets the values of `names`."""
        if v1.lstat([".env"]) is None:
            return
        was, now = v1.content([".env"]), self.v2.content([".env"])
        if was is None:
            self.ledger.lose("file .env", "is no file in v1, and is not migrated")
            return
        text, v2s = (("" if it is None else it.decode("utf-8", "replace")) for it in (was, now))
        there, own, called = effective_entries(v2s), effective_entries(v2s.partition(V1_HEADING)[0]), safe_labels(text)
        for name, value in effective_entries(text).items():
            what, differs = f"env {called[name]}", there.get(name) != value
            if differs and name in own and name not in names:
                self.ledger.skip(what, "v2's .env has one of its own, which stays", "env")
            else:
                why = "" if name in there else "not there"
                self.ledger.judge("env", what, why or ("has another value" if differs and name not in names else ""))
        if numbers := unread_lines(text):
            self.ledger.skip("lines of .env", f"NanoClaw does not read them: {', '.join(map(str, numbers[:20]))}")
        info = self.v2.lstat([".env"])
        if info is None:
            self.ledger.lose("file .env", "not there")
        elif why := self.mode_problem([".env"]) or owner_problem(info, self.host):
            self.ledger.lose("file .env", why)


def allow_list_problem(homes: Homes) -> str:
    """Return how v2's mount allow-list differs from v1's. Call it before homes are out of reach (snapshot_dir.py)."""
    name = ".config/nanoclaw/mount-allowlist.json"
    if not os.path.lexists(f"{homes.v1_home}/{name}"):
        return ""
    home = homes.home or pwd.getpwnam(homes.user).pw_dir
    was, now = (read_untrusted_text(f"{place}/{name}") for place in (homes.v1_home, home))
    if was is None:
        return "is no file in v1's home, and is not migrated"
    if was == now:
        return ""
    return "not there" if now is None else OTHER_LIST
