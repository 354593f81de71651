"""By which ids and groups a process is judged where files are stored (exports(5), rpc.mountd(8), nfs(5))."""

from __future__ import annotations

import pytest

from tasks.model.access.identity import ROOT, IdentityError, Ids, Squash
from tasks.model.access.storage import Node, Process, Storage

A, HOST = Ids(1000, 1001), Ids(1500, 1501)
TO_AGENT, ROOT_TO_AGENT, NONE = Squash("all", A), Squash("root", A), Squash("none")


@pytest.mark.parametrize(
    ("squash", "process", "ids", "groups"),
    [
        (TO_AGENT, Process("host", HOST, frozenset({0, 30})), A, frozenset()),
        (TO_AGENT, Process("root", ROOT, frozenset({0})), A, frozenset()),
        (ROOT_TO_AGENT, Process("host", HOST, frozenset({0, 30})), HOST, frozenset({1001, 30})),
        (ROOT_TO_AGENT, Process("root", ROOT, frozenset({30})), A, frozenset({30})),
        (NONE, Process("host", HOST, frozenset({0, 30})), HOST, frozenset({0, 30})),
        (NONE, Process("root", ROOT), ROOT, frozenset()),
        (None, Process("host", HOST, frozenset({0})), HOST, frozenset({0})),
    ],
)
def test_server_squashes_group_root_as_it_squashes_root(
    squash: Squash | None, process: Process, ids: Ids, groups: frozenset[int]
) -> None:
    acting = Storage("nfs4", squash).acting(process)
    assert (acting.name, acting.ids, acting.groups) == (process.name, ids, groups)
    assert Storage("local", squash).acting(process) == process


def test_server_uses_sixteen_groups_or_its_own_with_manage_gids() -> None:
    many = Process("host", HOST, frozenset(range(2, 40)))
    assert Storage("nfs3", NONE).acting(many).groups == frozenset(range(2, 18))
    known = Storage("nfs3", ROOT_TO_AGENT, {HOST.uid: frozenset({0, *range(50, 80)})})
    assert known.acting(many).groups == frozenset({1001, *range(50, 80)})
    assert known.acting(Process("other", Ids(7, 7), frozenset({30}))).groups == frozenset()


@pytest.mark.parametrize(
    ("process", "bits", "owner"),
    [
        (Process("owner", Ids(1000, 7)), 7, "its owner"),
        (Process("group", Ids(7, 1001)), 5, "its group"),
        (Process("member", Ids(7, 7), frozenset({1001})), 5, "its group"),
        (Process("owner and group", A, frozenset({1001})), 7, "its owner"),
        (Process("other", Ids(7, 7), frozenset({1000})), 1, "others"),
    ],
)
def test_first_matching_permission_class_decides(process: Process, bits: int, owner: str) -> None:
    assert process.rights(Node(A, 0o6751)) == (bits, owner)


def test_process_is_described_by_its_ids() -> None:
    host, root = Process("the host process", HOST), Process("root", ROOT)
    assert Storage("local").says(host) == "the host process acts as 1500:1501"
    assert Storage("nfs4", ROOT_TO_AGENT).says(host) == "the host process acts as 1500:1501"
    assert Storage("nfs4").says(root) == "root acts as 0:0"
    assert Storage("nfs4", ROOT_TO_AGENT).says(root) == "the server maps root (0:0) to 1000:1001 (root_squash)"
    assert Storage("nfs3", TO_AGENT).says(host) == (
        "the server maps the host process (1500:1501) to 1000:1001 (all_squash)"
    )
    assert str(Node(A, 0o640)) == "1000:1001 0640"


@pytest.mark.parametrize("mode", [0, 0o7777])
def test_mode_has_four_octal_digits(mode: int) -> None:
    assert Node(ROOT, mode).mode == mode


@pytest.mark.parametrize(("mode", "text"), [(-1, "-1"), (0o10000, "10000")])
def test_invalid_mode_is_refused(mode: int, text: str) -> None:
    with pytest.raises(IdentityError, match=f"^mode {text} does not exist: modes go from 0 to 7777$"):
        Node(ROOT, mode)


@pytest.mark.parametrize("groups", [{-1: frozenset({1})}, {1: frozenset({-1})}, {1: frozenset({1 << 32})}])
def test_invalid_group_ids_are_refused(groups: dict[int, frozenset[int]]) -> None:
    with pytest.raises(IdentityError, match="does not exist"):
        Storage("nfs3", NONE, groups)
    with pytest.raises(IdentityError, match="does not exist"):
        Process("host", HOST, frozenset({-1}))
