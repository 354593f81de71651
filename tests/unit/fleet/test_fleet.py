"""From host data to plans, and laws of whole fleets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.nfs.protocol import EXPORT_OPTIONS
from tasks.model.access.identity import Ids, Squash
from tasks.model.fleet.plan import HOSTS, SERVERS, FleetError, Machine, Source
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.nfs.exports import exports_text
from tests.builders import fleet, host, host_plan, one_host, server


def test_a_host_that_states_nothing() -> None:
    plans = one_host()
    a = plans.hosts["oslo"]
    assert (a.host_ids, a.agent, a.stored_agent) == (Ids(1000, 1000), Ids(1000, 1000), Ids(1000, 1000))
    assert (a.strategy.name, a.squash) == ("squash", Squash("all", Ids(1000, 1000)))
    assert (a.server, a.source, a.address) == ("nfs1", Source("10.0.0.1", "/srv/pods/oslo"), "10.0.0.2")
    assert (a.root, a.root_on_pods, a.slug) == ("/opt/nanoclaw", False, "3282970f")
    assert (a.unit, a.image) == ("nanoclaw-v2-3282970f.service", "nanoclaw-agent-v2-3282970f:latest")
    assert a.binds == (
        ("/pods/v2-sessions", "/opt/nanoclaw/data/v2-sessions"),
        ("/pods/groups", "/opt/nanoclaw/groups"),
    )
    (export,) = plans.servers["nfs1"].exports
    assert (export.path, export.client, export.owner) == ("/srv/pods/oslo", "10.0.0.2", Ids(1000, 1000))
    options = "rw,sync,no_subtree_check,sec=sys,secure,all_squash,anonuid=1000,anongid=1000"
    assert ",".join(export.options) == options


def test_a_project_root_on_the_pods_needs_no_binds() -> None:
    a = host_plan(nanoclaw_root="/pods/nanoclaw-v2")
    assert a.root_on_pods and a.binds == ()
    assert (a.sessions, a.groups) == ("/pods/nanoclaw-v2/data/v2-sessions", "/pods/nanoclaw-v2/groups")
    assert not host_plan(nanoclaw_root="/podsx/nanoclaw-v2").root_on_pods


@pytest.mark.parametrize(
    ("data", "owner", "squash"),
    [
        ({"nanoclaw_user": "root"}, "1000:1000", "all_squash,anonuid=1000,anongid=1000"),
        ({"nanoclaw_user": "root", "pods_access": "chown"}, "0:0", "no_root_squash"),
        ({"pods_access": "native"}, "1000:1000", "root_squash,anonuid=1000,anongid=1000"),
        ({"nanoclaw_uid": 1500}, "1500:1500", "all_squash,anonuid=1500,anongid=1500"),
        ({"nanoclaw_uid": 1500, "nanoclaw_gid": 1600}, "1500:1600", "all_squash,anonuid=1500,anongid=1600"),
        ({"nanoclaw_uid": 1500, "pods_access": "native"}, "1500:1500", "root_squash,anonuid=1500,anongid=1500"),
        ({"nanoclaw_image_uid": 1001}, "1001:1000", "all_squash,anonuid=1001,anongid=1000"),
        ({"pods_export_options": ["all_squash"]}, "65534:65534", "all_squash"),
        (
            {"pods_export_options": ["all_squash", "anonuid=4000", "anongid=4000"]},
            "4000:4000",
            "all_squash,anonuid=4000,anongid=4000",
        ),
    ],
)
def test_what_is_exported_and_who_owns_it(data: dict[str, Any], owner: str, squash: str) -> None:
    (export,) = one_host(**data).servers["nfs1"].exports
    assert str(export.owner) == owner
    assert export.options == (*EXPORT_OPTIONS, *squash.split(","))


def test_another_server_is_mounted_and_not_exported() -> None:
    stated = ["all_squash", "anonuid=1000", "anongid=1000"]
    plans = plan_fleet([server(), host(pods_server="192.0.2.7", pods_export="/export/a", pods_export_options=stated)])
    a = plans.hosts["oslo"]
    assert (a.server, a.source, a.strategy.name) == (None, Source("192.0.2.7", "/export/a"), "squash")
    assert plans.servers["nfs1"].exports == ()


@pytest.mark.parametrize(("user", "access"), [("nanoclaw", "native"), ("root", "chown")])
def test_another_server_that_says_nothing(user: str, access: str) -> None:
    a = host_plan(pods_server="192.0.2.7", pods_export="/export/a", nanoclaw_user=user)
    assert (a.strategy.name, a.squash) == (access, None)


def test_a_managed_server_may_be_named_by_its_address() -> None:
    assert fleet(oslo={"pods_server": "10.0.0.1"}).hosts["oslo"].server == "nfs1"
    v6 = server(nfs_address="fd00::10")
    plans = plan_fleet([v6, host(ssh_hostname="fd00::11", pods_server="fd00:0::0010")])
    assert (plans.hosts["oslo"].server, str(plans.hosts["oslo"].source)) == ("nfs1", "[fd00::10]:/srv/pods/oslo")


@pytest.mark.parametrize(("user", "access"), [("nanoclaw", "native"), ("root", "chown")])
def test_local_pods(user: str, access: str) -> None:
    a = plan_fleet([host(pods_server="local", nanoclaw_user=user)]).hosts["oslo"]
    assert (a.server, a.source, a.address, a.squash, a.strategy.name) == (None, None, None, Squash("none"), access)


def test_the_name_of_a_machine_may_be_its_address() -> None:
    plans = plan_fleet([Machine("10.0.0.1", (SERVERS,), {}), Machine("10.0.0.2", (HOSTS,), {})])
    assert str(plans.hosts["10.0.0.2"].source) == "10.0.0.1:/srv/pods/10.0.0.2"


def test_exports_are_in_one_order_whatever_the_inventorys() -> None:
    hosts = [host(name, number) for number, name in enumerate("cabd", 2)]
    one = plan_fleet([server(), *hosts]).servers["nfs1"].exports
    other = plan_fleet([*reversed(hosts), server()]).servers["nfs1"].exports
    assert one == other and [export.host for export in one] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["a\n/ *(rw,no_root_squash)", "a\\"])
def test_a_machines_name_adds_no_line_to_the_export_table(name: str) -> None:
    plans = plan_fleet([server(), host(name, pods_export="/srv/pods/oslo")])
    lines = exports_text(plans.servers["nfs1"].exports).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [line for line in lines if line.startswith("/srv/")]
    assert len(lines) == 3 and not any(line.endswith("\\") for line in lines)


_GOOD = st.fixed_dictionaries(
    {},
    optional={
        "nanoclaw_user": st.sampled_from(["root", "nanoclaw"]),
        "nanoclaw_image_uid": st.sampled_from([1000, 1001]),
        "pods_access": st.sampled_from(["auto", "squash", "chown", "native"]),
        "pods_path": st.sampled_from(["/pods", "/srv/pods"]),
        "nanoclaw_root": st.sampled_from(["/opt/nanoclaw", "/pods/nanoclaw-v2"]),
        "pods_server": st.sampled_from(["nfs1", "local", "10.0.0.1", "nowhere", "192.0.2.7"]),
        "pods_export": st.sampled_from(["/srv/pods/oslo", "/srv/pods/b", "/srv/pods", "/etc"]),
        "pods_export_options": st.sampled_from([[], ["no_root_squash"], ["all_squash", "anonuid=1000"]]),
        "pods_nfs_version": st.sampled_from(["4.2", "3"]),
    },
)
_WRONG: dict[str, Any] = {"nanoclaw_log_keep": 0, "nanoclaw_ref": "-x", "nanoclaw_log_size": "many"}


def problems(machines: list[Machine]) -> set[tuple[str, str]]:
    try:
        plan_fleet(machines)
    except FleetError as error:
        assert error.problems == sorted(set(error.problems))
        return {(problem.machine, problem.key) for problem in error.problems}
    return set()


@given(_GOOD, _GOOD, st.sampled_from(sorted(_WRONG)))
def test_a_wrong_setting_adds_its_own_problem_and_hides_no_other(a: Any, b: Any, wrong: str) -> None:
    """Nothing rests on these settings: all that was reported without the mistake is reported with it."""
    without = problems([server(), host(**a), host("b", 3, **b)])
    with_it = problems([server(), host(**a, **{wrong: _WRONG[wrong]}), host("b", 3, **b)])
    assert with_it == without | {("oslo", wrong)}


@given(_GOOD, _GOOD, st.data())
def test_a_wrong_setting_of_any_kind_brings_nothing_but_itself(a: Any, b: Any, data: st.DataObject) -> None:
    """What it makes unknown may go unreported until it is right; nothing is reported in its place."""
    key = data.draw(st.sampled_from(sorted({*a, "nanoclaw_uid", "pods_address", "pods_path"})))
    without = problems([server(), host(**a), host("b", 3, **b)])
    with_it = problems([server(), host(**{**a, key: object()}), host("b", 3, **b)])
    assert with_it <= without | {("oslo", key)} and ("oslo", key) in with_it


@st.composite
def _right(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """The settings of a host that is accepted beside every other one."""
    root, server = draw(st.booleans()), draw(st.sampled_from(["nfs1", "10.0.0.1", "192.0.2.7", "local"]))
    managed = server in ("nfs1", "10.0.0.1")
    own = "chown" if root else "native"
    access = draw(st.sampled_from(["auto", own, *(["squash"] if managed else [])]))
    data: dict[str, Any] = {"pods_server": server, "pods_access": access}
    data["nanoclaw_user"] = "root" if root else "nanoclaw"
    data["pods_path"] = draw(st.sampled_from(["/pods", "/srv/pods"]))
    data["nanoclaw_root"] = draw(st.sampled_from(["/opt/nanoclaw", f"{data['pods_path']}/nanoclaw-v2"]))
    data["nanoclaw_image_uid"] = 1000 if own == "native" and not (managed and access == "squash") else 1001
    if server == "192.0.2.7" or (managed and draw(st.booleans())):
        data["pods_export"] = f"/srv/pods/{name}"
    if managed and access == "squash" and draw(st.booleans()):
        data["pods_export_options"] = ["all_squash", f"anonuid={data['nanoclaw_image_uid']}", "anongid=1000"]
    return data


@given(_right("a"), _right("b"))
def test_an_accepted_fleet_keeps_the_promises_of_the_plan(a: Any, b: Any) -> None:
    """Each example is judged: these settings are right by construction."""
    plans = plan_fleet([server(), host(**a), host("b", 3, **b)])
    for one in plans.hosts.values():
        assert one.agent.uid != 0 and one.stored_agent.uid != 0
        assert one.root != one.settings.pods_path
        assert (not one.strategy.needs_guard) or one.host_ids.uid == 0
    for export in plans.servers["nfs1"].exports:
        assert export.client in ("10.0.0.2", "10.0.0.3")
        assert "root_squash" not in export.options or any(word.startswith("anonuid=") for word in export.options)
    trees = {(one.source, one.root if one.root_on_pods else "") for one in plans.hosts.values() if one.source}
    assert len(trees) == sum(one.source is not None for one in plans.hosts.values())


def test_one_mistake_of_a_large_fleet_is_one_line() -> None:
    hosts = [host(f"h{n}", n + 2, pods_export="/srv/pods/all") for n in range(1000)]
    with pytest.raises(FleetError) as raised:
        plan_fleet([server(), *hosts])
    assert len(raised.value.problems) == 1000
    assert raised.value.problems[0].text.endswith(
        "h10, h100, h101, h102 and 994 more; give each host its own directory"
    )
