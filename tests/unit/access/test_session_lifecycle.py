"""Invariants of the life of a session, and cases that were observed on real kernels before the matrix."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.model.access.identity import (
    HIGHEST_ID,
    MAPPED_IDS,
    NOBODY,
    ROOT,
    Docker,
    IdentityError,
    Ids,
    Squash,
    agent_of,
    parse_squash,
)
from tasks.model.access.outcome import NotAllowedError
from tasks.model.access.session_lifecycle import _NAMES, ACTIONS, Action, Case, Chowner, _Life, live
from tasks.model.access.storage import FileSystem, Node, Process, Storage
from tasks.model.access.strategy import NEEDED

A, HOST = Ids(1000, 1000), Ids(1500, 1500)
TO_AGENT, PLAIN, NONE = Squash("all", A), Squash("root"), Squash("none")
LOCAL, TREE = Storage("local"), Node(ROOT, 0o755)

_ids = st.builds(Ids, *[st.sampled_from([0, 1000, 1001, 1500, NOBODY]) | st.integers(0, HIGHEST_ID)] * 2)
_users = _ids.filter(lambda ids: ids.uid != 0)
_squashes = st.builds(Squash, st.sampled_from(["none", "root", "all"]), _ids)
_kinds = st.sampled_from(["nfs3", "nfs4"])


def word(text: str) -> Any:
    """A word that may be none of those which the types allow."""
    return text


def outcome(case: Case, action: Action) -> str | None:
    answer = live(case)[action]
    return answer.errno or answer.outcome


@pytest.mark.parametrize(
    ("case", "action", "expected"),
    [
        (Case(ROOT, A, Storage("nfs4", NONE), Node(ROOT, 0o755)), "agent writes outbound.db", "EACCES"),
        (
            Case(ROOT, A, Storage("nfs4", NONE), Node(ROOT, 0o755), chown_by="guard"),
            "agent writes outbound.db",
            "allowed",
        ),
        (Case(ROOT, A, Storage("nfs3", PLAIN), Node(A, 0o755)), "host creates the session directory", "EACCES"),
        (Case(ROOT, A, Storage("nfs3", PLAIN), Node(A, 0o755)), "agent reads inbound.db", "ENOENT"),
        (Case(A, A, Storage("nfs4", PLAIN), Node(A, 0o755)), "dockerd makes the mount points", "EACCES"),
        (Case(A, A, Storage("nfs4", PLAIN), Node(A, 0o755)), "guard chowns the tree to the agent", "EPERM"),
        (Case(A, A, Storage("nfs4", Squash("root", A)), Node(A, 0o755)), "dockerd makes the mount points", "allowed"),
        (Case(HOST, A, Storage("nfs4", TO_AGENT), Node(A, 0o700)), "agent writes outbound.db", "allowed"),
        (Case(ROOT, A, Storage("local"), Node(A, 0o755)), "agent touches .heartbeat", "EACCES"),
        (
            Case(ROOT, A, Storage("nfs4", NONE, broken_mapping=True), Node(ROOT, 0o755)),
            "host chowns the tree to the agent",
            "EINVAL",
        ),
        (Case(ROOT, None, Storage("local"), Node(ROOT, 0o755)), "agent reads inbound.db", "unknown"),
        (Case(ROOT, A, Storage("nfs4"), Node(ROOT, 0o755)), "host creates outbound.db", "unknown"),
        (
            Case(ROOT, A, Storage("local"), Node(ROOT, 0o755), docker="rootless"),
            "dockerd makes the mount points",
            "unknown",
        ),
    ],
)
def test_outcome_is_the_one_observed_on_real_kernels(case: Case, action: Action, expected: str) -> None:
    assert outcome(case, action) == expected


@pytest.mark.parametrize(
    ("known", "expected"), [(None, "allowed"), ({}, "EACCES"), ({1500: frozenset({30})}, "allowed")]
)
def test_manage_gids_uses_the_servers_groups(known: dict[int, frozenset[int]] | None, expected: str) -> None:
    case = Case(HOST, A, Storage("nfs4", NONE, known), Node(Ids(0, 30), 0o775), groups=frozenset({30}))
    assert outcome(case, "host creates the session directory") == expected


def test_only_sixteen_groups_travel_over_nfs() -> None:
    tree = Node(Ids(0, 30), 0o775)
    for others, expected in ((15, "allowed"), (16, "EACCES")):
        case = Case(HOST, A, Storage("nfs3", NONE), tree, groups=frozenset({30, *range(2, 2 + others)}))
        assert outcome(case, "host creates the session directory") == expected


@pytest.mark.parametrize(
    ("session", "database", "expected"),
    [
        (Node(ROOT, 0o755), Node(A, 0o644), "the session directory is 0:0 0755, which gives others no wx"),
        (Node(A, 0o755), Node(ROOT, 0o644), "outbound.db is 0:0 0644, which gives others no rw"),
        (Node(ROOT, 0o777), Node(A, 0o644), None),
        (Node(ROOT, 0o776), Node(A, 0o644), "the session directory is 0:0 0776, which gives others no x"),
        (Node(ROOT, 0o775), Node(ROOT, 0o666), "the session directory is 0:0 0775, which gives others no wx"),
        (None, Node(A, 0o644), "the session directory was never made"),
        (Node(A, 0o755), None, "outbound.db was never made"),
    ],
)
def test_writing_a_database_needs_write_access_to_its_directory(
    session: Node | None, database: Node | None, expected: str | None
) -> None:
    """SQLite makes a journal beside it."""
    life = _Life(Case(ROOT, A, LOCAL, TREE))
    life.nodes |= {name: node for name, node in (("session", session), ("outbound", database)) if node}
    answer = life.judge("agent writes outbound.db")
    assert (answer.outcome == "allowed") == (expected is None)
    assert expected is None or answer.reason.endswith(expected)


def test_chown_of_an_uncreated_session_fails_with_enoent() -> None:
    makers: tuple[Action, ...] = (
        "host chowns the tree to the agent",
        "guard chowns the tree to the agent",
        "server chowns the tree to the agent",
    )
    for action in makers:
        answer = live(Case(ROOT, A, LOCAL, TREE), [action])[action]
        assert (answer.errno, answer.reason) == ("ENOENT", f"{_NAMES['session']} was never made")


def test_chown_needs_search_permission_on_parent_directories() -> None:
    life = _Life(Case(HOST, A, LOCAL, Node(ROOT, 0o700)))
    life.nodes["like"] = Node(HOST, 0o755)
    answer = life.judge("host chowns the tree to the agent")
    assert answer.errno == "EACCES" and "the directory of sessions is 0:0 0700" in answer.reason


@pytest.mark.parametrize(
    ("owner", "host", "groups", "agent", "expected"),
    [
        (A, A, [], A, None),
        (A, A, [], Ids(1000, 30), "EPERM"),
        (A, A, [30], Ids(1000, 30), None),
        (A, Ids(1000, 30), [], Ids(1000, 30), None),
        (Ids(1000, 30), A, [], Ids(1000, 30), None),
        (Ids(1500, 30), A, [30], Ids(1000, 30), "EPERM"),
        (A, HOST, [1000], A, "EPERM"),
        (HOST, HOST, [1000], A, "EPERM"),
    ],
)
def test_an_owner_may_chown_only_to_one_of_its_own_groups(
    owner: Ids, host: Ids, groups: list[int], agent: Ids, expected: str | None
) -> None:
    """chown(2): without CAP_CHOWN the owner stays, and the group is one of the process's."""
    life = _Life(Case(host, agent, LOCAL, Node(ROOT, 0o777), groups=frozenset(groups)))
    life.nodes["like"] = Node(owner, 0o755)
    own = life._chown
    if expected is None:
        assert "who owns it already" in own(life.host, Node(owner, 0o755), agent)
    else:
        with pytest.raises(NotAllowedError) as caught:
            own(life.host, Node(owner, 0o755), agent)
        assert caught.value.answer.errno == expected


def test_setgid_directory_passes_its_group_to_new_entries() -> None:
    case = Case(A, Ids(1001, 30), Storage("local"), Node(Ids(1000, 30), 0o2775))
    denied = live(case)["agent touches .heartbeat"]  # 0777 less the umask leaves the group r-x
    assert (denied.errno, "1000:30 2755" in denied.reason) == ("EACCES", True)


def test_docker_maps_container_ids_by_its_mode() -> None:
    plain = Case(ROOT, A, Storage("local"), Node(ROOT, 0o755))
    assert plain.agent == A
    assert Case(ROOT, A, Storage("local"), Node(ROOT, 0o755), docker="userns-remap").agent == Ids(101_000, 101_000)
    rootless = Case(HOST, ROOT, Storage("local"), Node(ROOT, 0o755), docker="rootless")
    assert rootless.agent == Ids(101_499, 101_499)


def test_rootless_root_has_the_ids_of_the_daemons_user() -> None:
    daemon = Ids(1000, 100)
    mapped = [Case(daemon, user, LOCAL, TREE, docker="rootless").agent for user in (ROOT, Ids(0, 1), Ids(1, 0))]
    assert mapped == [daemon, Ids(1000, 100_000), Ids(100_000, 100)]


@pytest.mark.parametrize(("docker", "last"), [("userns-remap", MAPPED_IDS - 1), ("rootless", MAPPED_IDS)])
def test_docker_maps_no_more_ids_than_its_subordinate_range(docker: Docker, last: int) -> None:
    agent = Case(ROOT, Ids(last, last), LOCAL, TREE, docker=docker).agent
    assert agent == Ids(100_000 + MAPPED_IDS - 1, 100_000 + MAPPED_IDS - 1)
    for beyond in (Ids(last + 1, 0), Ids(0, last + 1), Ids(HIGHEST_ID, HIGHEST_ID)):
        with pytest.raises(IdentityError, match=f"not mapped with {docker}"):
            Case(ROOT, beyond, LOCAL, TREE, docker=docker)
    with pytest.raises(IdentityError, match="does not exist"):
        Case(ROOT, A, LOCAL, TREE, docker=docker, remapped_from=HIGHEST_ID)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: live(Case(ROOT, A, LOCAL, TREE), [word("no such action")]),
            "action 'no such action' is none of host crea",
        ),
        (lambda: live(Case(ROOT, A, Storage("nfs4"), TREE), [word("")]), "action '' is none of"),
        (lambda: Squash(word("foo")), "squash 'foo' is none of none, root, all"),
        (
            lambda: Case(ROOT, A, LOCAL, TREE, docker=word("podman")),
            "docker 'podman' is none of plain, userns-remap, root",
        ),
        (lambda: Case(ROOT, A, LOCAL, TREE, chown_by=word("x")), "chown_by 'x' is none of nobody, host, guard, server"),
        (lambda: Case(ROOT, A, LOCAL, TREE, groups=frozenset({-1})), "gid -1 does not exist"),
        (lambda: Case(ROOT, A, LOCAL, TREE, remapped_from=-1), "first mapped id -1 does not exist"),
        (lambda: Process("p", A, frozenset({HIGHEST_ID + 1})), "does not exist"),
        (lambda: Storage(word("nfs5")), "file system 'nfs5' is none of local, nfs3, nfs4"),
        (lambda: Storage("nfs3", NONE, {-1: frozenset()}), "uid -1 does not exist"),
        (lambda: Storage("nfs3", NONE, {0: frozenset({-1})}), "gid -1 does not exist"),
        (lambda: Node(ROOT, -1), "mode -1 does not exist"),
        (lambda: Node(ROOT, 0o10000), "mode 10000 does not exist"),
    ],
)
def test_unknown_value_is_an_error(make: Callable[[], object], says: str) -> None:
    with pytest.raises(IdentityError, match=re.escape(says)):
        make()


@given(_ids, _users, _kinds, st.sampled_from([0o755, 0o700, 0o2775]))
def test_squash_to_the_agent_makes_new_sessions_writable_at_once(
    host: Ids, image_user: Ids, kind: FileSystem, mode: int
) -> None:
    agent = agent_of(host, image_user) if host.uid else image_user
    case = Case(host, image_user, Storage(kind, Squash("all", agent)), Node(agent, mode))
    life = live(case)
    assert {action: life[action].reason for action in NEEDED if life[action].outcome != "allowed"} == {}
    # The stored owner of each, before any chown: named in the reason of the action that uses it.
    owners = {
        "agent reads inbound.db": f"inbound.db is {agent} 0644",
        "agent writes outbound.db": f"outbound.db is {agent} 0644",
        "agent touches .heartbeat": f"the session directory is {agent} ",
        "agent writes into the group directory": f"the group directory is {agent} ",
        "agent writes into .claude-shared": f".claude-shared is {agent} ",
    }
    if agent.uid != 0:
        assert {action for action, text in owners.items() if text not in life[word(action)].reason} == set()


@st.composite
def _chown_cases(draw: st.DrawFn) -> Case:
    """Cases in which the host or its guard chowns a session; the test finds out where it may."""
    kind: FileSystem = draw(st.sampled_from(["local", "nfs3", "nfs4"]))
    agent = draw(_users)
    host = draw(st.sampled_from([ROOT, agent]) | _ids)
    squash = None if kind == "local" else draw(st.just(NONE) | _squashes)
    tree = Node(draw(st.sampled_from([ROOT, host])), draw(st.sampled_from([0o755, 0o775, 0o700, 0o777, 0o2775])))
    chown_by: Chowner = draw(st.sampled_from(["host", "guard"]))
    return Case(host, agent, Storage(kind, squash), tree, chown_by=chown_by)


CREATED: tuple[Action, ...] = ACTIONS[:3]
AGENT: list[Action] = [action for action in ACTIONS if action.startswith("agent")]
HOST_ACTIONS = [action for action in ACTIONS if action.startswith("host")]


@given(_chown_cases(), st.lists(st.sampled_from(HOST_ACTIONS)), st.booleans())
def test_no_host_action_after_a_chown_takes_the_tree_from_the_agent(
    case: Case, actions: list[Action], used: bool
) -> None:
    chown: Action = (
        "host chowns the tree to the agent" if case.chown_by == "host" else "guard chowns the tree to the agent"
    )
    before = (*CREATED, chown, *(AGENT if used else []))
    created = live(case, before)
    assume([created[action].outcome for action in (*CREATED, chown)] == ["allowed"] * 4)
    life = live(case, (*before, *actions, *AGENT))
    assert {action: life[action].reason for action in AGENT if life[action].outcome != "allowed"} == {}


def test_creating_an_existing_entry_again_keeps_its_owner() -> None:
    """O_CREAT and mkdir -p: a host that is root and makes everything anew takes nothing back."""
    chowned = Case(ROOT, A, LOCAL, TREE, chown_by="host")
    again = live(chowned, (*CREATED, "host chowns the tree to the agent", *CREATED, "agent writes outbound.db"))
    assert "outbound.db is 1000:1000 0644" in again["agent writes outbound.db"].reason
    not_chowned = Case(ROOT, A, LOCAL, TREE)
    assert (
        live(not_chowned, (*CREATED, *CREATED, "agent writes outbound.db"))["agent writes outbound.db"].errno
        == "EACCES"
    )
    other_writer = Case(Ids(1000, 1000), Ids(1001, 1001), LOCAL, Node(A, 0o755), chown_by="server")
    taken = live(other_writer, (*CREATED, "server chowns the tree to the agent", *CREATED))
    assert [taken[action].errno for action in CREATED] == [None, "EACCES", "EACCES"]


@given(_ids, _ids, st.none() | _squashes)
def test_every_answer_has_a_reason_and_only_denials_have_an_errno(
    host: Ids, image_user: Ids, squash: Squash | None
) -> None:
    for answer in live(Case(host, image_user, Storage("nfs4", squash), Node(ROOT, 0o755))).values():
        assert answer.reason
        assert (answer.errno is not None) == (answer.outcome == "denied")


@pytest.mark.parametrize("wrong", [-1, HIGHEST_ID + 1, 2**40])
def test_invalid_ids_are_errors(wrong: int) -> None:
    with pytest.raises(IdentityError, match="does not exist"):
        Ids(wrong, 0)
    with pytest.raises(IdentityError, match="does not exist"):
        Ids(0, wrong)


@pytest.mark.parametrize("wrong", ["async", "anonuid=-1", "anonuid=node", "anonuid=99999999999", ""])
def test_unknown_export_options_are_errors(wrong: str) -> None:
    with pytest.raises(IdentityError, match="is none of"):
        parse_squash([wrong])
