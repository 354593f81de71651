"""The trees of agents, the machine that chowns them, and the report of a walk over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from files.pods.trees.protocol import CHOWN, RIGHT, Tally, TreeReport, TreeRequest, TreesRequest, Verdict
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
    """Owners that NanoClaw can have left: only their entries are chowned."""
    within: str | None = None
    """The directory from which on no link is followed and no other file system entered; default: the tree itself."""
    mount: str | None = None
    """The mount point without which the tree is not the real one."""
    anchor: str | None = None
    """Where the export that holds the tree is mounted."""
    created_by: Ids | None = None
    """Who owns the host process's entries right after creation, where that is known."""
    sockets: bool = False
    """Whether to chown sockets too: those that NanoClaw listens on, data/cli.sock, lie in its project root."""

    def request(self, names: str | None = None) -> TreeRequest:
        """The tree as files/pods/trees/main.py takes it.

        + names: what an earlier scan has named, to chown that
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


NOBODY_IDS = Ids(NOBODY, NOBODY)


def chown_by(plan: HostPlan) -> ChownBy:
    """Return the machine that chowns a host's trees: the host, its server (faster), or none of the role's.

    Only root that stays root on the server may chown files (chown(2)).
    """
    if plan.strategy.needs_guard:
        return "host"
    if plan.server is not None:
        return "server"
    root = created_by(plan, "root")
    return "host" if root is not None and root.uid == 0 else "nobody"


def host_trees(plan: HostPlan) -> tuple[Tree, ...]:
    """Return the trees of a host, with its own paths."""
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
    """Return the trees of a server that belong to an agent, each once.

    An export with a project root is one tree. Of other exports only sessions and groups are: an operator may keep other
    things beside them.

    Where hosts chown their sessions themselves, the export directory is root's and nothing is done here.
    """
    whole = {export.path for export in plan.exports if export.holds_root}
    by_path: dict[str, Tree] = {}
    for export in plan.exports:
        paths = [export.path] if export.path in whole else [f"{export.path}/{name}" for name in BOUND]
        for path in paths if export.owner != ROOT else ():
            before = by_path.get(path)
            replaceable = (ROOT, NOBODY_IDS, *export.writers, *(before.replaceable if before else ()))
            kept = tuple(dict.fromkeys(replaceable))
            by_path[path] = Tree(path, export.owner, kept, within=export.path, sockets=path in whole)
    return tuple(by_path.values())


MOST_REMARKS = 22
"""Lines on one tree: a report has as many verdicts, and an agent can forge as many owners as it likes."""


def differing_entries(report: TreeReport) -> int:
    """Return how many entries of a tree have another owner and can be chowned."""
    return report.number(CHOWN)


_LEFT = {
    "linked": "have several names, one of which may lie elsewhere",
    "special": "are devices, sockets, pipes or set-id files, which NanoClaw does not make",
    "elsewhere": "lie on another file system or another mount",
    "deep": "lie deeper than NanoClaw makes any",
    "EACCES": "may not be read from here",
}


def remarks(report: TreeReport, owner: Ids, *, can_change: bool = True) -> list[str]:
    """Return lines for an operator: entries that differ and entries left alone, with names."""
    lines = []
    for it in report.tallies:
        if it.verdict == CHOWN:
            entries = f"{it.entries} of {report.entries} entries"
            what = f"chown {entries} to {owner}" if can_change else f"{entries} do not belong to {owner}"
            lines.append(f"{report.path}: {what}{_named(it)}")
    if report.state == "unfinished":
        lines.append(f"{report.path}: {endless(report)}")
    for it in sorted(report.tallies, key=lambda it: str(it.verdict)):
        if it.verdict in (RIGHT, CHOWN):
            continue
        if len(lines) >= MOST_REMARKS:
            lines.append(f"{report.path}: left more kinds of entries alone")
            break
        lines.append(f"{report.path}: left entries alone that {_why(it.verdict)}: {it.entries}{_named(it)}")
    return lines


def _why(verdict: Verdict) -> str:
    if verdict.kind == "foreign":
        return f"belong to {verdict.owner}, which NanoClaw does not use"
    return _LEFT.get(str(verdict), f"failed with {verdict}")


def endless(report: TreeReport) -> str:
    """Explain an unfinished walk, with the way out."""
    return (
        f"the walk did not end after {report.entries} entries and {report.seconds:.0f} s: an agent adds or moves "
        "entries during it, or the tree is very large. Stop the service and its agents if this happens again"
    )


def obstacle(report: TreeReport, owner: Ids) -> str | None:
    """Return why a tree cannot be chowned, and the way out; None where it can."""
    if report.state == "nobody":
        return (
            f"{report.path}: every id reads as {NOBODY}, the mount's root too. Either ids are not mapped over NFSv4 "
            "(set the same Domain in /etc/idmapd.conf of both machines, or nfs4_disable_idmapping=Y for the modules "
            "nfs and nfsd), or the export directory is nobody's (chown 0:0 on the server). "
            f"Nothing is chowned to {owner}"
        )
    if report.state == "unreadable":
        errors = ", ".join(str(it.verdict) for it in report.tallies)
        return f"{report.path} cannot be opened ({errors}): a link, a file or another file system is in its place"
    return None


def _named(tally: Tally) -> str:
    if not tally.names:
        return ""
    return f" ({', '.join(tally.names)}{', …' if tally.entries > len(tally.names) else ''})"


def trees_request(trees: Sequence[Tree]) -> TreesRequest:
    """What a machine is asked about trees."""
    return TreesRequest(apply=False, trees=[tree.request() for tree in trees])
