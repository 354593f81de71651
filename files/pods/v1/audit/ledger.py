"""What the account of a migration comes to: numbers, what is lost, what is left. For programs that import it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from files.pods.common.sanitize import escape_control

KINDS = ("groups", "tasks", "conversations", "memories", "files", "auth", "env", "skills")
LISTED = 200
CUT = 200  # where printable names end: one that long may be another's too


class Ledger:
    """Takes each thing of v1 once. `known` is what the caller knows to be left: it is never lost."""

    def __init__(self, known: list[dict[str, str]]) -> None:
        self.known = {one["what"]: one["why"] for one in known}
        self.counts = {kind: {"v1": 0, "v2": 0} for kind in KINDS}
        self.lost: list[dict[str, str]] = []
        self.left = [dict(one) for one in known]
        self.said: set[str] = set(self.known)
        self.more: Counter[str] = Counter()

    def judge(self, kind: str, what: str, why: str) -> None:
        """Counts a thing of v1, and the same of v2 where nothing is said against it."""
        self.counts[kind]["v1"] += 1
        if why:
            self.lose(what, why)
        else:
            self.counts[kind]["v2"] += 1

    def lose(self, what: str, why: str) -> None:
        name = escape_control(what)
        if not self.is_known(what):
            self.note("lost", self.lost, name, why)

    def leave(self, what: str, why: str, kind: str | None = None) -> None:
        """For what is not migrated by rule; said once. Counts with `kind`."""
        name = escape_control(what)
        if kind:
            self.counts[kind]["v1"] += 1
        if name not in self.said:
            self.said.add(name)
            self.note("left", self.left, name, why)

    def is_known(self, what: str) -> bool:
        name = escape_control(what)
        return name in self.known and len(name) < CUT

    def note(self, which: str, to: list[dict[str, str]], name: str, why: str) -> None:
        if len(to) < LISTED:
            to.append({"what": name, "why": escape_control(why)})
        else:
            self.more[which] += 1

    def answer(self) -> dict[str, Any]:
        more = {which: self.more[which] for which in ("lost", "left")}
        return {"counts": self.counts, "lost": self.lost, "left": self.left, "more": more}
