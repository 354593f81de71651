"""Which trees belong to which agent, on which machine that is cheap to bring about, and what a count of them means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from files.pods.trees.protocol import TreeRequest, TreesRequest
from tasks.model.access.identity import NOBODY, ROOT, Ids
from tasks.model.fleet.plan import BOUND, HostPlan, ServerPlan
from tasks.model.ownership.owners import created_by

ChownBy = Literal["host", "server", "nobody"]


@dataclass(frozen=True)
class Tree:
    """A directory that belongs to the agent with all that is in it."""

    path: str
    owner: Ids
    replaceable: tuple[Ids, ...]
    """Owners that NanoClaw can have left: of these, and of no others, a tree is taken over."""
    within: str | None = None
    """The directory from which on no link is followed and no other file system entered; default: the tree itself."""
    mount: str | None = None
    """The mount point without which the tree is not the real one."""
    anchor: str | None = None
    """Where the export that holds the tree is mounted."""
    created_by: Ids | None = None
    """Whom the host process's own entries belong to when they are created, where that is known."""
    sockets: bool = False
    """Whether sockets are given too: those that NanoClaw listens on, data/cli.sock, lie in its project root."""

    def request(self, names: str | None = None) -> TreeRequest:
        """The tree as files/pods/trees/main.py takes it.

        + names: what an earlier look has named, to chown that
        """
        others = [ids for ids in self.replaceable if ids != self.owner]
        return TreeRequest(
            path=self.path,
            within=self.within or self.path,
            mount=self.mount,
            anchor=self.anchor,
            uid=self.owner.uid,
            gid=self.owner.gid,
            uids=sorted({ids.uid for ids in others} - {self.owner.uid}),
            gids=sorted({ids.gid for ids in others} | {self.owner.gid}),
            sockets=self.sockets,
            names=names,
        )


@dataclass(frozen=True)
class TreeReport:
    """What a walk over one tree counted: verdicts of `own_trees` with up to five names each."""

    path: str
    state: Literal["there", "absent", "unmounted", "unreadable", "nobody", "forbidden", "unfinished"]
    entries: int
    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0
    names: str | None = None
    """What is to be given, for `own_trees` to give; None where that is too much for a command line."""


@dataclass(frozen=True)
class TreeReports:
    """The reports of all trees that were asked for, in that order."""

    trees: list[TreeReport]


NOBODY_IDS = Ids(NOBODY, NOBODY)


def chown_by(plan: HostPlan) -> ChownBy:
    """Which machine chowns a host's trees to the agent: the host, its server (faster), or none of the role's.

    Only root that stays root on the server may chown files (chown(2)).
    """
    if plan.strategy.needs_guard:
        return "host"
    if plan.server is not None:
        return "server"
    root = created_by(plan, "root")
    return "host" if root is not None and root.uid == 0 else "nobody"


def host_trees(plan: HostPlan) -> tuple[Tree, ...]:
    """The trees of a host as it sees them."""
    pods = plan.settings.pods_path
    anchor = pods if plan.source else None
    return tuple(
        Tree(
            path=path,
            owner=plan.stored_agent,
            replaceable=(ROOT, NOBODY_IDS, plan.host_ids, plan.agent),
            within=pods if plan.root_on_pods else path,
            mount=anchor if plan.root_on_pods else path,
            anchor=anchor,
            created_by=created_by(plan, "host"),
        )
        for path in (plan.sessions, plan.groups)
    )


def server_trees(plan: ServerPlan) -> tuple[Tree, ...]:
    """The trees of a server that belong to an agent, each once: whole exports where a project root is on them, else
    their sessions and groups, for there an operator may keep other things beside them.

    Where hosts chown their sessions themselves, the export directory is root's and nothing is done here.
    """
    whole = {export.path for export in plan.exports if export.holds_root}
    found: dict[str, Tree] = {}
    for export in plan.exports:
        paths = [export.path] if export.path in whole else [f"{export.path}/{name}" for name in BOUND]
        for path in paths if export.owner != ROOT else ():
            before = found.get(path)
            replaceable = (ROOT, NOBODY_IDS, *export.writers, *(before.replaceable if before else ()))
            kept = tuple(dict.fromkeys(replaceable))
            found[path] = Tree(path, export.owner, kept, within=export.path, sockets=path in whole)
    return tuple(found.values())


MOST_REMARKS = 22
"""Lines on one tree: `own_trees` tells as many kinds apart, and an agent can forge as many owners as it likes."""


def wrong(report: TreeReport) -> int:
    """How many entries of a tree are to be given to its owner."""
    return report.counts.get("give", 0)


_LEFT = {
    "linked": "have several names, one of which may lie elsewhere",
    "special": "are devices, sockets, pipes or set-id files, which NanoClaw does not make",
    "elsewhere": "lie on another file system or another mount",
    "deep": "lie deeper than NanoClaw makes any",
    "EACCES": "may not be read from here",
}


def remarks(report: TreeReport, owner: Ids, *, can_change: bool = True) -> list[str]:
    """What an operator should know of a tree: what differs and what was left alone, with names."""
    lines = []
    if number := wrong(report):
        does = "to be given to" if can_change else "do not belong to"
        lines.append(f"{report.path}: {does} {owner}: {number} of {report.entries}{_named(report, 'give')}")
    if report.state == "unfinished":
        lines.append(f"{report.path}: {endless(report)}")
    for verdict, number in sorted(report.counts.items()):
        if len(lines) >= MOST_REMARKS:
            lines.append(f"{report.path}: and more kinds of entries that were left alone")
            break
        if verdict.startswith("foreign "):
            ids = verdict.removeprefix("foreign ")
            lines.append(
                f"{report.path}: left alone, for NanoClaw runs nothing as {ids}: {number}{_named(report, verdict)}"
            )
        elif verdict not in ("right", "give"):
            why = _LEFT.get(verdict, f"failed with {verdict}")
            lines.append(f"{report.path}: left alone, for they {why}: {number}{_named(report, verdict)}")
    return lines


def endless(report: TreeReport) -> str:
    """What it means that a walk was ended, and the way out."""
    return (
        f"no end of it after {report.entries} entries and {report.seconds:.0f} s: an agent adds or moves entries as "
        "they are looked at, or it is very large. Stop the service and its agents if it is so again"
    )


def obstacle(report: TreeReport, owner: Ids) -> str | None:
    """Why a tree cannot be brought to its owner, and the way out; None where it can."""
    if report.state == "nobody":
        return (
            f"{report.path}: every id reads as {NOBODY}, the mount's root too. Either ids are not mapped over NFSv4 "
            "(give both machines the same Domain in /etc/idmapd.conf, or nfs4_disable_idmapping=Y to the modules nfs "
            f"and nfsd), or the export directory is nobody's (chown 0:0 on the server). Nothing is given to {owner}"
        )
    if report.state == "unreadable":
        errors = ", ".join(report.counts)
        return f"{report.path} cannot be opened ({errors}): a link, a file or another file system is in its place"
    return None


def _named(report: TreeReport, verdict: str) -> str:
    names = report.samples.get(verdict, [])
    if not names:
        return ""
    return f" ({', '.join(names)}{', …' if report.counts.get(verdict, 0) > len(names) else ''})"


def trees_request(trees: Sequence[Tree]) -> TreesRequest:
    """What a machine is asked about trees."""
    return TreesRequest(apply=False, trees=[tree.request() for tree in trees])
