"""What v1 has in files, each against what v2 has: for programs that import it. Of secrets only names are told."""

from __future__ import annotations

import os
import stat
from typing import Any

from files.pods.common.dotenv import V1_HEADING, effective_entries, safe_labels, unread_lines
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.v1.audit.chats import Group
from files.pods.v1.audit.entries import Below, owner_why, same_time, type_of
from files.pods.v1.audit.ledger import Ledger
from files.pods.v1.audit.walk import Seen

CONVERSATIONS = ["projects", "-workspace-group"]
IN_V2 = ["projects", "-workspace-agent"]
GLOBAL = "CLAUDE.global.md"
IMPORT = b"@./CLAUDE.global.md\n"
OF_V2 = (["skills"], ["settings.json"])
"""What v2 has its own of, in the .claude of a group."""
ANOTHER = "v2's home has one already, which says something else and stays"
"""Of the mount allow-list: an operator has put it there."""


class Files:
    """Is given each entry of v1, and finds it in v2."""

    def __init__(
        self, told: dict[str, Any], v2: Below, groups: dict[str, Group], agents: dict[str, str], ledger: Ledger
    ) -> None:
        self.v2, self.groups, self.agents, self.ledger = v2, groups, agents, ledger
        self.agent, self.host, self.deep = told["agent"], told["host"], told["deep"]

    def take(self, seen: Seen) -> None:
        parts = seen.parts
        if parts[0] == "groups" and len(parts) == 2 and not stat.S_ISDIR(seen.stat.st_mode):
            self.ledger.leave(f"file {seen.path}", "lies beside the groups, where no agent sees it")
        elif parts[0] == "groups" and len(parts) > 1:
            self.of_groups(seen)
        elif parts[:2] == ["data", "sessions"] and parts[3:4] == [".claude"] and len(parts) > 4:
            self.of_claude(seen)
        elif parts[:2] == ["store", "auth"] and len(parts) > 2:
            self.of_auth(seen)
        elif parts[:2] == ["container", "skills"] and len(parts) == 3:
            there = self.v2.look(parts)
            self.ledger.judge("skills", f"skill {parts[2]}", "" if there else "not there")

    def of_groups(self, seen: Seen) -> None:
        parts = seen.parts
        if "node_modules" in parts or parts[2:3] == ["logs"]:
            return
        if parts[2:3] != ["CLAUDE.md"]:
            self.of_tree("files", f"file {seen.path}", seen, parts)
        elif len(parts) == 3:
            self.memory(seen)

    def memory(self, seen: Seen) -> None:
        folder = seen.parts[1]
        content = seen.content() if stat.S_ISREG(seen.stat.st_mode) else None
        if content is None:
            kind = type_of(seen.stat.st_mode)
            self.ledger.judge("memories", f"memory {folder}", f"is {kind} in v1, which is not migrated")
        elif folder != "global":
            own = ["groups", folder, "CLAUDE.local.md"]
            why = self.text_why(own, (content, IMPORT + content))
            self.ledger.judge("memories", f"memory {folder}", why)
        else:
            others = [name for name, group in self.groups.items() if not group.main]
            whys = {name: self.text_why(["groups", name, GLOBAL], (content,)) for name in others}
            lacking = [name for name in others if whys[name]]
            self.ledger.counts["memories"]["v1"] += 1
            self.ledger.counts["memories"]["v2"] += not lacking
            for name in lacking:
                self.ledger.lose(f"memory global of {name}", whys[name])

    def text_why(self, parts: list[str], texts: tuple[bytes, ...]) -> str:
        found, content = self.v2.look(parts), self.v2.content(parts)
        if found is None or content is None:
            return f"{parts[-1]} is not there"
        return owner_why(found, self.agent) if content in texts else f"{parts[-1]} says something else"

    def of_claude(self, seen: Seen) -> None:
        folder, rest = seen.parts[2], seen.parts[4:]
        if folder not in self.groups:
            self.ledger.leave(f"conversations {folder}", "no group that is migrated has them")
            return
        if rest[:1] in OF_V2:
            return
        into = IN_V2 + rest[2:] if rest[:2] == CONVERSATIONS else rest
        place = ["data", "v2-sessions", self.agents.get(folder, ""), ".claude-shared", *into]
        if rest[:-1] == CONVERSATIONS and rest[-1].endswith(".jsonl") and stat.S_ISREG(seen.stat.st_mode):
            self.ledger.judge("conversations", f"conversation {folder}/{rest[-1]}", self.why(seen, place, self.agent))
        else:
            self.of_tree("files", f"file {seen.path}", seen, place)

    def of_tree(self, kind: str, what: str, seen: Seen, place: list[str]) -> None:
        if type_of(seen.stat.st_mode) not in ("a directory", "a file", "a link"):
            self.ledger.leave(what, "a socket, pipe or device")
            return
        why = self.why(seen, place, self.agent)
        if why == "not there" and self.v2.directory(place[:-1]) is None and seen.parts[-2] not in ("groups", ".claude"):
            self.ledger.counts[kind]["v1"] += 1  # the directory is named, and that is enough
            return
        self.ledger.judge(kind, what, why)

    def why(self, seen: Seen, place: list[str], owner: dict[str, int], content: bool = False) -> str:
        """What an entry has otherwise in v2; empty where nothing."""
        was, found = seen.stat, self.v2.look(place)
        if found is None:
            return "not there"
        if type_of(found.st_mode) != type_of(was.st_mode):
            return f"is {type_of(found.st_mode)} instead of {type_of(was.st_mode)}"
        if seen.target and self.v2.target(place) != seen.target:
            return "leads elsewhere"
        if stat.S_ISREG(was.st_mode):
            if found.st_size != was.st_size:
                return f"has {found.st_size} bytes instead of {was.st_size}"
            if (content or self.deep) and self.v2.digest(place) != seen.digest():
                return "has other content"
            if not content and not same_time(was.st_mtime_ns, found.st_mtime_ns):
                return "has another time of change"
            if not content and (found.st_mode ^ was.st_mode) & 0o700:
                return f"has rights {stat.S_IMODE(found.st_mode):04o} instead of {stat.S_IMODE(was.st_mode):04o}"
        return owner_why(found, owner)

    def of_auth(self, seen: Seen) -> None:
        """The pairing with WhatsApp: the content counts, whenever it was written."""
        what = f"auth {'/'.join(seen.parts[2:])}"
        why = self.why(seen, seen.parts, self.host, content=True)
        if not stat.S_ISREG(seen.stat.st_mode):
            if why:
                self.ledger.lose(what, why)
            return
        self.ledger.judge("auth", what, why or self.rights_why(seen.parts))

    def rights_why(self, parts: list[str]) -> str:
        found = self.v2.look(parts)
        mode = stat.S_IMODE(found.st_mode) if found else 0
        return "" if mode == 0o600 else f"has rights {mode:04o} instead of 0600"

    def env(self, v1: Below, names: list[str]) -> None:
        """The entries of .env; of `names` the values are the role's own."""
        if v1.look([".env"]) is None:
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
                self.ledger.leave(what, "v2's .env has one of its own, which stays", "env")
            else:
                why = "" if name in there else "not there"
                self.ledger.judge("env", what, why or ("has another value" if differs and name not in names else ""))
        if numbers := unread_lines(text):
            self.ledger.leave("lines of .env", f"NanoClaw does not read them: {', '.join(map(str, numbers[:20]))}")
        found = self.v2.look([".env"])
        if found is None:
            self.ledger.lose("file .env", "not there")
        elif why := self.rights_why([".env"]) or owner_why(found, self.host):
            self.ledger.lose("file .env", why)


def allow_list_why(told: dict[str, str]) -> str:
    """What the mount allow-list of v2's home has otherwise than v1's; to be asked before v1_view, which hides homes."""
    name = ".config/nanoclaw/mount-allowlist.json"
    if not os.path.lexists(f"{told['v1_home']}/{name}"):
        return ""
    was, now = (read_untrusted_text(f"{told[home]}/{name}") for home in ("v1_home", "home"))
    if was is None:
        return "is no file in v1's home, and is not migrated"
    if was == now:
        return ""
    return "not there" if now is None else ANOTHER
