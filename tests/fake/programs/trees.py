"""The session and group trees of fake machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from files.pods.trees.protocol import CHOWN, RIGHT, Tally, TreeReport, TreesReply
from tasks.model.fleet.plan import HostPlan, ServerPlan
from tasks.model.ownership import trees as model
from tasks.model.ownership.trees import Tree
from tests.fake.fake import Fake


def host_trees(plan: HostPlan) -> Fake:
    trees = model.host_trees(plan)
    absent = [TreeReport(tree.path, "unmounted" if tree.mount else "absent", 0) for tree in trees]
    return Fake(
        requests=[_request(trees)],
        bare=TreesReply(absent),
        underway=TreesReply([_first_checkout(tree) for tree in trees]),
        finished=_complete(trees),
    )


def server_trees(plan: ServerPlan) -> Fake:
    trees = model.server_trees(plan)
    absent = TreesReply([TreeReport(tree.path, "absent", 0) for tree in trees])
    return Fake(requests=[_request(trees)], bare=absent, finished=_complete(trees))


def _complete(trees: Sequence[Tree]) -> TreesReply:
    return TreesReply([TreeReport(tree.path, "there", 40) for tree in trees])


def _first_checkout(tree: Tree) -> TreeReport:
    """A tree that the host process has just made, with a file that came with the source."""
    return TreeReport(tree.path, "there", 2, [Tally(RIGHT if tree.created_by == tree.owner else CHOWN, 2)])


def _request(trees: Sequence[Tree]) -> dict[str, Any]:
    """Return the request that reads trees; the model names them."""
    tree_requests = []
    for tree in trees:
        others = {ids for ids in tree.replaceable if ids != tree.owner}
        place = {"path": tree.path, "within": tree.within or tree.path, "mount": tree.mount, "anchor": tree.anchor}
        uids = sorted({ids.uid for ids in others} - {tree.owner.uid})
        gids = sorted({ids.gid for ids in others} | {tree.owner.gid})
        sockets = {"sockets": True} if tree.sockets else {}
        tree_requests.append(
            {**place, "uid": tree.owner.uid, "gid": tree.owner.gid, "uids": uids, "gids": gids, **sockets}
        )
    return {"apply": False, "trees": tree_requests}


OF_HOSTS = {"trees.main": host_trees}
OF_SERVERS = {"trees.main": server_trees}
