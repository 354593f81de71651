"""Ownership of session and group trees; files.directory compares the top alone and then chowns everything."""

from collections.abc import Sequence

from pyinfra import host, state
from pyinfra.api.exceptions import OperationError

from files.pods.trees.protocol import TreesReply, TreesRequest
from tasks.command import run_request
from tasks.model.ownership.trees import Tree, differing_entries, endless, obstacle, remarks, trees_request
from tasks.operations.base import Commands, pods_operation, read_state
from tasks.operations.dry_run import is_pending
from tasks.report import say


@pods_operation
def tree_owner(trees: Sequence[Tree], can_change: bool = True) -> Commands:
    """Chown every entry of each tree to the tree's owner, and report how many differ, with names.

    Owns: uid and gid of entries that root, nobody, the host process or the agent made. Leaves alone: modes, every
    other owner's entries, regular files with several names, devices, pipes, set-id files, sockets (but for those of a
    project root that lies in an export), other file systems, lost+found. Never follows a link (chown(2), openat(2)).
    Changes: when an entry differs. Only entries that the walk named are chowned; where they are too many, the tree is
    walked again. A tree that is missing or not mounted yet has no entries; but a check phase expects those that a first
    checkout creates in it with another owner.
    A walk of a tree that changes all the time ends within the hour; the next run continues it.
    Errors: such a tree; trees that are not mounted yet; NFSv4 without id mapping, where every id reads as nobody; a
    server that forbids chown.

    + can_change: whether this machine may chown files; if not, the operation reports what differs, with the way out
    """
    if not trees:
        host.noop("no tree belongs to an agent here")
        return
    reports = read_state(TreesReply, trees_request(trees)).trees
    differing, unfinished = 0, False
    pairs = list(zip(trees, reports, strict=True))
    for tree, report in pairs:
        if report.state == "unmounted" and state.is_executing:
            raise OperationError(f"nothing is mounted at {tree.mount}: {tree.path} is on the local disk beneath it")
        if problem := obstacle(report, tree.owner):
            raise OperationError(problem)
        for line in remarks(report, tree.owner, can_change=can_change):
            say(line)
        differing += differing_entries(report)
        unfinished |= report.state == "unfinished"
        if report.state == "unfinished" and not can_change and state.is_executing:
            raise OperationError(f"{report.path}: {endless(report)}")
    later = [tree for tree, report in pairs if report.state == "unmounted"]
    for tree in later:
        say(f"{tree.path}: not mounted yet; only a real run walks it")
    coming = is_pending("source") and any(tree.created_by not in (None, tree.owner) for tree in later)
    if not (differing or coming or unfinished) or not can_change:
        number = sum(report.entries for report in reports)
        host.noop(f"{differing} of {number} entries differ" if differing else f"all of {number} entries are right")
        return
    request = TreesRequest(apply=True, trees=[tree.request(report.names) for tree, report in pairs])
    yield run_request(request)
