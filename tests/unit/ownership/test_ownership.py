"""The trees of agents, who chowns them, and the report on them."""

from __future__ import annotations

from typing import Any

import pytest

from files.pods.trees.protocol import CHOWN, LINKED, RIGHT, SPECIAL, Tally, TreeReport, Verdict
from tasks.model.access.identity import Ids
from tasks.model.ownership.trees import (
    MOST_REMARKS,
    chown_by,
    differing_entries,
    host_trees,
    obstacle,
    remarks,
    server_trees,
)
from tests.builders import fleet, host_plan, one_host

UNMANAGED = {"pods_server": "10.0.0.9", "pods_export": "/export/h"}
SQUASH = ["all_squash", "anonuid=1000", "anongid=1000"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "server"),
        ({"nanoclaw_uid": 1500, "pods_access": "native"}, "server"),
        ({"nanoclaw_user": "root", "pods_access": "chown"}, "host"),
        ({**UNMANAGED, "pods_export_options": SQUASH}, "nobody"),
        ({**UNMANAGED, "pods_export_options": ["root_squash", "anonuid=1000"]}, "nobody"),
        ({**UNMANAGED}, "nobody"),
        ({**UNMANAGED, "nanoclaw_user": "root"}, "host"),
        ({**UNMANAGED, "nanoclaw_user": "root", "pods_export_options": ["no_root_squash"]}, "host"),
        ({**UNMANAGED, "pods_export_options": ["no_root_squash"]}, "host"),
        ({"pods_server": "local"}, "host"),
        ({"pods_server": "local", "nanoclaw_user": "root"}, "host"),
    ],
)
def test_trees_are_chowned_where_that_is_cheap_and_allowed(data: dict[str, Any], expected: str) -> None:
    assert chown_by(host_plan(**data)) == expected


def test_the_server_owns_sessions_and_groups_and_none_of_hosts_that_chown() -> None:
    trees = server_trees(one_host(nanoclaw_uid=1500).servers["nfs1"])
    assert [tree.path for tree in trees] == ["/srv/pods/oslo/v2-sessions", "/srv/pods/oslo/groups"]
    for tree in trees:
        assert (tree.owner, tree.request().uids) == (Ids(1500, 1500), [0, 65534])
    assert server_trees(one_host(nanoclaw_user="root", pods_access="chown").servers["nfs1"]) == ()


def test_files_of_an_earlier_arrangement_are_taken_over() -> None:
    """The host was 1000 and its agent 1001 before the export mapped everybody to one of them."""
    for tree in server_trees(one_host(nanoclaw_image_uid=1001, nanoclaw_image_gid=1001).servers["nfs1"]):
        assert (tree.owner, tree.request().uids) == (Ids(1001, 1001), [0, 1000, 65534])


def test_an_export_that_holds_a_project_root_is_walked_whole() -> None:
    (tree,) = server_trees(one_host(nanoclaw_root="/pods/nc").servers["nfs1"])
    assert (tree.path, tree.owner) == ("/srv/pods/oslo", Ids(1000, 1000))


def test_an_export_for_two_hosts_is_walked_once() -> None:
    shared = {"pods_export": "/srv/pods/both"}
    both = fleet(a={"nanoclaw_root": "/pods/a", **shared}, b={"nanoclaw_root": "/pods/b", **shared})
    assert len(server_trees(both.servers["nfs1"])) == 1


def test_a_tree_needs_the_mount_that_it_lies_on() -> None:
    bound, _ = host_trees(host_plan())
    assert (bound.path, bound.mount, bound.anchor) == ("/opt/nanoclaw/data/v2-sessions",) * 2 + ("/pods",)
    inside, groups = host_trees(host_plan(nanoclaw_root="/pods/nc"))
    assert (inside.path, inside.mount, groups.path) == ("/pods/nc/data/v2-sessions", "/pods", "/pods/nc/groups")
    local, _ = host_trees(host_plan(pods_server="local", nanoclaw_root="/pods/nc"))
    assert (local.mount, local.anchor) == (None, None)


def test_an_owner_is_never_among_those_that_are_replaced() -> None:
    for tree in host_trees(host_plan(nanoclaw_user="root")):
        assert tree.request().uids == [0, 65534]
        assert tree.request().uid == 1000


def report(state: Any = "there", *, right: int = 0, chown: int = 0, error: str = "") -> TreeReport:
    failures = [Tally(Verdict("failed", error=error), 1)] if error else []
    chowned = [Tally(CHOWN, chown, ["a", "b"])] if chown else []
    return TreeReport("/t", state, right + chown, [Tally(RIGHT, right), *chowned, *failures])


def test_entries_that_differ_are_reported_with_names() -> None:
    tree = report(right=7, chown=3)
    assert differing_entries(tree) == 3
    assert remarks(tree, Ids(1000, 1000)) == ["/t: chown 3 of 10 entries to 1000:1000 (a, b, …)"]
    assert remarks(tree, Ids(1000, 1000), can_change=False) == [
        "/t: 3 of 10 entries do not belong to 1000:1000 (a, b, …)"
    ]
    assert remarks(report(right=7), Ids(1000, 1000)) == []


def test_entries_left_alone_are_reported_with_the_reason() -> None:
    failed, foreign = Verdict("failed", error="EPERM"), Verdict("foreign", (33, 33))
    tallies = [Tally(foreign, 2), Tally(LINKED, 1, ["l"]), Tally(SPECIAL, 1), Tally(failed, 1)]
    tree = TreeReport("/t", "there", 9, tallies)
    lines = remarks(tree, Ids(1000, 1000))
    assert lines == [
        "/t: left entries alone that failed with EPERM: 1",
        "/t: left entries alone that belong to 33:33, which NanoClaw does not use: 2",
        "/t: left entries alone that have several names, one of which may lie elsewhere: 1 (l)",
        "/t: left entries alone that are devices, sockets, pipes or set-id files, which NanoClaw does not make: 1",
    ]


def test_broken_id_mapping_is_refused() -> None:
    text = obstacle(report("nobody", chown=3), Ids(1000, 1000))
    assert text is not None and "idmapd.conf" in text and "Nothing is chowned" in text
    assert obstacle(report("unreadable", error="ELOOP"), Ids(1000, 1000)) is not None
    assert obstacle(report("absent"), Ids(1000, 1000)) is None


def test_forged_owners_are_few_lines() -> None:
    forged = [Tally(Verdict("foreign", (number, 5)), 1) for number in range(1000)]
    lines = remarks(TreeReport("/t", "there", 1000, [Tally(CHOWN, 1), *forged]), Ids(1000, 1000))
    assert len(lines) <= MOST_REMARKS + 1
    assert lines[0].startswith("/t: chown 1 of 1000 entries to") and lines[-1].endswith(
        "left more kinds of entries alone"
    )


def test_an_unfinished_walk_is_reported_with_the_way_out() -> None:
    lines = remarks(TreeReport("/t", "unfinished", 7, [Tally(RIGHT, 7)], seconds=1500), Ids(1000, 1000))
    assert len(lines) == 1 and lines[0].startswith("/t: the walk did not end after 7 entries and 1500 s: ")
    assert "Stop the service and its agents" in lines[0]
