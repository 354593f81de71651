"""The findings of an audit: counts, losses and skipped things. For programs that import it."""

from __future__ import annotations

from collections import Counter

from files.pods.common.sanitize import escape_control
from files.pods.v1.audit.protocol import AuditReport, Count, Finding, Unlisted

KINDS = ("groups", "tasks", "conversations", "memories", "files", "auth", "env", "skills")
LISTED = 200
CUT = 200  # printable names end there: two names that long may be equal


class Ledger:
    """Collect the verdict on each thing of v1, once. `known` things are skipped by request, and never lost."""

    def __init__(self, known: list[Finding]) -> None:
        self.known = {one.what for one in known}
        self.counts = {kind: {"v1": 0, "v2": 0} for kind in KINDS}
        self.lost: list[Finding] = []
        self.skipped = list(known)
        self.recorded: set[str] = set(self.known)
        self.more: Counter[str] = Counter()

    def judge(self, kind: str, what: str, why: str) -> None:
        """Count a thing of v1; count it for v2 if there is no problem, else it is lost."""
        self.counts[kind]["v1"] += 1
        if why:
            self.lose(what, why)
        else:
            self.counts[kind]["v2"] += 1

    def lose(self, what: str, why: str) -> None:
        """Record that v2 lacks a thing."""
        name = escape_control(what)
        if not self.is_known(what):
            self.record("lost", self.lost, name, why)

    def skip(self, what: str, why: str, kind: str | None = None) -> None:
        """Record that a thing is skipped by rule, once. Count it with `kind`."""
        name = escape_control(what)
        if kind:
            self.counts[kind]["v1"] += 1
        if name not in self.recorded:
            self.recorded.add(name)
            self.record("left", self.skipped, name, why)

    def is_known(self, what: str) -> bool:
        """Return whether the request says that it is skipped."""
        name = escape_control(what)
        return name in self.known and len(name) < CUT

    def record(self, which: str, to: list[Finding], name: str, why: str) -> None:
        """List a finding, or count it if the list is full."""
        if len(to) < LISTED:
            to.append(Finding(name, escape_control(why)))
        else:
            self.more[which] += 1

    def report(self, digest: str) -> AuditReport:
        """Return the report, with the digest of v1."""
        counts = {kind: Count(**numbers) for kind, numbers in self.counts.items()}
        more = Unlisted(self.more["lost"], self.more["left"])
        return AuditReport(counts, self.lost, self.skipped, more, digest)
