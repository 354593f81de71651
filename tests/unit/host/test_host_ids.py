"""The uid and gid of a host that states none, where 1000 is a person's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.machine.machine_state import IdState, MachineState
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import FleetPlan, Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.host.host_ids import CANDIDATES, choose_host_ids, remembered, unserved
from tasks.model.host.machine_refusals import agent_uid_problems, machine_problems
from tests.builders import fleet, machines
from tests.fake.bare_host import NO_ACCOUNT, machine

FREE = [IdState(number, None, None, None) for number in CANDIDATES[:8]]
DEBIAN = IdState(1000, "debian", "debian", "debian")
STOCK = [DEBIAN, *FREE[1:]]
"""What a stock image of a cloud answers."""


def host(ids: list[IdState], account: tuple[int, int] | None = None, **more: Any) -> MachineState:
    return replace(machine("oslo", replace(NO_ACCOUNT, ids=account, **more)), ids=ids)


def chosen(inventory: list[Machine], **states: MachineState) -> dict[str, Ids]:
    return choose_host_ids(plan_fleet(inventory), states).ids


def test_the_default_is_1000_where_nobody_has_it() -> None:
    choice = choose_host_ids(fleet(oslo={}), {"oslo": host(FREE)}).hosts["oslo"]
    assert (choice.ids, choice.reason) == (Ids(1000, 1000), None)


@pytest.mark.parametrize("data", [{}, {"pods_access": "native"}, {"pods_server": "local"}])
def test_a_stock_image_of_a_cloud_gets_ids_that_nobody_has(data: dict[str, Any]) -> None:
    inventory, state = machines(oslo=data), host(STOCK)
    choice = choose_host_ids(plan_fleet(inventory), {"oslo": state})
    assert choice.hosts["oslo"].ids == Ids(850, 850)
    assert choice.hosts["oslo"].reason == "uid 1000 is debian's on oslo"
    plan = plan_fleet(inventory, chosen=choice.ids)
    assert (plan.hosts["oslo"].host_ids, plan.hosts["oslo"].stored_agent) == (Ids(850, 850), Ids(850, 850))
    assert [export.owner for server in plan.servers.values() for export in server.exports] in ([], [Ids(850, 850)])
    assert machine_problems(plan, {"oslo": state}) == agent_uid_problems(plan, {"oslo": state}) == []


def test_an_account_that_is_there_is_kept_ever_after() -> None:
    assert chosen(machines(oslo={}), oslo=host(FREE, (850, 850))) == {"oslo": Ids(850, 850)}
    assert chosen(machines(oslo={}), oslo=host(STOCK, (1234, 100))) == {"oslo": Ids(1234, 100)}
    assert chosen(machines(oslo={"nanoclaw_user": "pods"}), oslo=host([], (1001, 1001))) == {"oslo": Ids(1001, 1001)}


def test_a_uid_that_the_operator_states_is_never_chosen() -> None:
    assert chosen(machines(a={"nanoclaw_uid": 1000}, b={"nanoclaw_user": "root"}), a=host(STOCK), b=host(STOCK)) == {}


def test_a_stated_gid_stays() -> None:
    inventory = machines(oslo={"nanoclaw_gid": 2000})
    choice = choose_host_ids(plan_fleet(inventory), {"oslo": host(STOCK)})
    assert plan_fleet(inventory, chosen=choice.ids).hosts["oslo"].host_ids == Ids(850, 2000)


SHARED = {"pods_export": "/srv/pods/shared"}
A = {**SHARED, "nanoclaw_root": "/pods/a"}
B = {**SHARED, "nanoclaw_root": "/pods/b"}


def test_hosts_that_share_an_export_get_one() -> None:
    inventory = machines(a=A, b=B, c={})
    ids = chosen(inventory, a=host(FREE), b=host(STOCK), c=host(FREE))
    assert ids["a"] == ids["b"] == Ids(850, 850)
    plan_fleet(inventory, chosen=ids)


def test_what_one_host_of_an_export_has_the_others_take() -> None:
    free = [*STOCK, IdState(1234, None, None, None)]
    assert chosen(machines(a=A, b=B), a=host(STOCK, (1234, 1234)), b=host(free))["b"] == Ids(1234, 1234)


def test_an_account_that_is_there_counts_before_what_a_server_remembers() -> None:
    inventory, states = machines(a=A, b=B), {"a": host(STOCK, (849, 849)), "b": host(STOCK)}
    ids = choose_host_ids(plan_fleet(inventory), states, {"a": Ids(848, 848), "b": Ids(848, 848)}).ids
    assert ids == {"a": Ids(849, 849), "b": Ids(849, 849)}


def test_unknown_numbers_are_requested() -> None:
    states = {"a": host(STOCK, (1234, 1234)), "b": host(STOCK)}
    assert choose_host_ids(fleet(a=A, b=B), states).unknown == {1234}
    taken = [*STOCK, IdState(1234, "bob", "bob", "bob")]
    again = choose_host_ids(fleet(a=A, b=B), {**states, "b": host(taken)})
    assert (again.ids["b"], again.unknown) == (Ids(850, 850), frozenset())


def test_a_host_that_a_run_leaves_out_is_what_its_server_remembers_else_the_default() -> None:
    inventory = machines(a={}, b={}, c={})
    states = {"a": host(STOCK), "nfs1": replace(machine("nfs1"), ids=FREE)}
    ids = choose_host_ids(plan_fleet(inventory), states, {"b": Ids(849, 849)}).ids
    assert ids == {"a": Ids(849, 849), "b": Ids(849, 849), "c": Ids(1000, 1000)}
    assert chosen(inventory) == dict.fromkeys("abc", Ids(1000, 1000))


@pytest.mark.parametrize(
    ("ids", "account", "server", "refused"),
    [
        (STOCK, None, False, True),
        (STOCK, None, True, False),
        (STOCK, (850, 850), False, False),
        (FREE, None, False, False),
    ],
)
def test_a_new_host_with_other_ids_takes_its_server_into_the_run(
    ids: list[IdState], account: tuple[int, int] | None, server: bool, refused: bool
) -> None:
    inventory = machines(a={})
    states = {"a": host(ids, account), **({"nfs1": replace(machine("nfs1"), ids=FREE)} if server else {})}
    plan = plan_fleet(inventory, chosen=choose_host_ids(plan_fleet(inventory), states).ids)
    problems = list(unserved(plan, states))
    codes = [(problem.machine, problem.key, problem.reason) for problem in problems]
    assert codes == [("a", "nanoclaw_uid", "server-left-out")] * refused


def test_a_new_host_without_its_server_does_not_follow_the_others() -> None:
    states = {"a": host(STOCK, (850, 850)), "b": host(FREE)}
    assert chosen(machines(a={}, b={}), **states) == {"a": Ids(850, 850), "b": Ids(1000, 1000)}
    with_server = {**states, "nfs1": replace(machine("nfs1"), ids=FREE)}
    assert chosen(machines(a={}, b={}), **with_server) == {"a": Ids(850, 850), "b": Ids(850, 850)}


def test_a_person_on_the_server_has_no_host_processs_uid() -> None:
    server = replace(machine("nfs1"), ids=STOCK)
    assert chosen(machines(a={}), a=host(FREE), nfs1=server) == {"a": Ids(850, 850)}
    service = replace(machine("nfs1"), ids=[IdState(1000, "backup", "backup", None), *FREE[1:]])
    assert chosen(machines(a={}), a=host(FREE), nfs1=service) == {"a": Ids(1000, 1000)}


def test_a_group_of_the_users_name_provides_the_gid() -> None:
    ids = [IdState(999, "sys", "nanoclaw", None), *FREE]
    assert chosen(machines(a={}), a=host(ids, name_gid=999)) == {"a": Ids(1000, 999)}


def test_a_number_that_is_a_groups_alone_is_not_free() -> None:
    ids = [IdState(1000, None, "staff", None), *FREE[1:]]
    choice = choose_host_ids(fleet(a={}), {"a": host(ids)}).hosts["a"]
    assert (choice.ids, choice.reason) == (Ids(850, 850), "gid 1000 is the group staff's on a")


def test_where_none_is_free_the_default_is_refused_as_a_stated_one() -> None:
    ids = [IdState(number, "x", "x", "x") for number in CANDIDATES]
    assert chosen(machines(a={}), a=host(ids)) == {"a": Ids(1000, 1000)}


@pytest.mark.parametrize(
    ("options", "ids_by_host"),
    [
        (["rw", "all_squash", "anonuid=850", "anongid=850"], {"a": Ids(850, 850)}),
        (["rw", "all_squash", "anonuid=1000", "anongid=1000"], {"a": Ids(1000, 1000)}),
        (["rw", "no_root_squash", "anonuid=65534", "anongid=65534"], {}),
        (["rw", "root_squash"], {}),
        (["rw", "anonuid=²", "anongid=1"], {}),
    ],
)
def test_a_server_remembers_by_its_table(options: list[str], ids_by_host: dict[str, Ids]) -> None:
    plan = fleet(a={}, b={"nanoclaw_uid": 1500})
    table = [["/srv/pods/a", "10.0.0.2", *options], ["/srv/pods/b", "10.0.0.3", *options], ["/srv/other", "*", "rw"]]
    assert remembered(plan, "nfs1", table) == ids_by_host


def test_an_image_user_of_another_uid_is_what_the_default_host_has() -> None:
    plan = fleet(a={"nanoclaw_image_uid": 1001, "nanoclaw_image_gid": 1001})
    table = [["/srv/pods/a", "10.0.0.2", "all_squash", "anonuid=1001", "anongid=1001"]]
    assert remembered(plan, "nfs1", table) == {"a": Ids(1000, 1000)}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=8), st.integers(0, 6))
def test_a_choice_is_free_on_each_host_and_holds_when_its_accounts_are_there(
    hosts: list[tuple[bool, int]], left_out: int
) -> None:
    """The law: what is chosen nobody has; and the next run, which finds the accounts, chooses the same."""
    data = {f"h{number}": {"nanoclaw_user": f"u{group}"} for number, (_stock, group) in enumerate(hosts)}
    plan: FleetPlan = fleet(**data)
    states = {
        f"h{number}": host(STOCK if stock else FREE)
        for number, (stock, _group) in enumerate(hosts)
        if number != left_out
    }
    first = choose_host_ids(plan, states)
    assert not first.unknown
    for name, state in states.items():
        taken = {entry.id for entry in state.ids if entry.user or entry.group}
        assert not {first.ids[name].uid, first.ids[name].gid} & taken
    after = {name: host(state.ids, (first.ids[name].uid, first.ids[name].gid)) for name, state in states.items()}
    assert {name: choose_host_ids(plan, after).ids[name] for name in states} == {
        name: first.ids[name] for name in states
    }
