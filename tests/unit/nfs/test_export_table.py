"""The exports in force against the desired ones; those of others, and of hosts that left, stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.nfs.export_state import ExportState
from tasks.model.fleet.plan import ServerPlan
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.nfs.exports import (
    export_notes,
    export_refusals,
    exports_text,
    kept_exports,
    matches,
    removed_exports,
    table_drift,
    table_entries,
)
from tests.builders import host, server


def plan(of_server: Mapping[str, Any] | None = None, **hosts: str) -> ServerPlan:
    """The plan of a server of hosts with these addresses."""
    machines = [host(name, ssh_hostname=at) for name, at in hosts.items()]
    return plan_fleet([server(**(of_server or {})), *machines]).servers["nfs1"]


def finished(*plans: ServerPlan, **more: Any) -> ExportState:
    """A server on which the runs of these inventories have been."""
    exports = [export for one in plans for export in one.exports]
    state = ExportState(
        dropin=exports_text(exports),
        conf=None,
        table=table_entries(exports),
        elsewhere=[],
        directories={},
        active=True,
        enabled=True,
        versions=["+3", "+4.2"],
        own=[[export.path, export.client] for export in exports],
    )
    return replace(state, **more)


OSLO = plan(oslo="10.0.0.2")
BERGEN = plan(bergen="10.0.0.3")
NONE = plan()
OPTIONS = table_entries(OSLO.exports)[0][2:]


def test_desired_table_has_no_drift_and_an_empty_one_has() -> None:
    assert table_drift(OSLO, finished(OSLO)) == []
    assert table_drift(OSLO, finished(OSLO, table=[])) == [
        f"/srv/pods/oslo is not exported to 10.0.0.2 with {','.join(OPTIONS)}"
    ]
    (other,) = table_drift(OSLO, finished(OSLO, table=[["/srv/pods/oslo", "10.0.0.2", "ro", *OPTIONS[1:]]]))
    assert other.startswith("/srv/pods/oslo is not exported to 10.0.0.2 with rw,")


def test_what_others_put_in_force_is_theirs_and_is_named_where_it_is_below_the_export_root() -> None:
    table = [
        *table_entries(OSLO.exports),
        ["/srv/pods/oslo", "10.0.0.9", *OPTIONS],
        ["/srv/pods/films", "10.0.0.3", "ro"],
        ["/home", "10.0.0.3", "rw"],
        ["/srv/pods/x", "nas.lan", "rw"],
        ["/srv/pods/defined", "10.0.0.3", "rw"],
    ]
    state = finished(OSLO, table=table, elsewhere=[["/etc/exports", "/srv/pods/defined", "10.0.0.3"]])
    assert table_drift(OSLO, state) == [] == removed_exports(OSLO, state)
    (note,) = export_notes(OSLO, state)
    assert note == (
        "in force, but defined by no file, and left alone: 10.0.0.3:/srv/pods/films, 10.0.0.9:/srv/pods/oslo; "
        "exportfs -u ends them"
    )


def test_a_host_that_left_the_inventory_keeps_its_export_and_is_named() -> None:
    state = finished(OSLO, BERGEN)
    assert table_drift(OSLO, state) == []
    assert exports_text(OSLO.exports, kept_exports(OSLO, state)) == state.dropin
    assert removed_exports(OSLO, state) == []
    assert export_notes(OSLO, state) == [
        "exported to hosts that are not in this inventory, and left alone: /srv/pods/bergen to 10.0.0.3 (bergen); "
        "nfs_remove_exports removes them"
    ]


def test_two_inventories_of_one_server_write_the_same_text_in_every_order() -> None:
    """Neither takes anything of the other's, and neither finds anything to change after the other."""
    one, other = plan(oslo="10.0.0.2", z="10.0.0.8"), plan(bergen="10.0.0.3", trondheim="10.0.0.30")
    both = finished(one, other)
    for first, second in ((one, other), (other, one)):
        state = finished(first)
        text = exports_text(second.exports, kept_exports(second, state))
        assert text == both.dropin
        again = finished(one, other, dropin=text)
        assert exports_text(first.exports, kept_exports(first, again)) == text
        assert table_drift(first, again) == [] == table_drift(second, again)
        assert export_refusals(first, again) == [] == export_refusals(second, again)


GOES = {"nfs_remove_exports": ["/srv/pods/bergen"]}
GOES_MOUNTED = {"nfs_remove_mounted_exports": ["/srv/pods/bergen"]}


@pytest.mark.parametrize("word", [GOES, GOES_MOUNTED])
def test_an_export_goes_when_the_operator_says_so_and_no_client_has_it(word: dict[str, Any]) -> None:
    ours, state = plan(word, oslo="10.0.0.2"), finished(OSLO, BERGEN, clients=["10.0.0.2", "10.0.0.33"])
    assert export_refusals(ours, state) == []
    assert removed_exports(ours, state) == [("/srv/pods/bergen", "10.0.0.3")]
    assert table_drift(ours, state) == ["/srv/pods/bergen is still exported to 10.0.0.3"]
    assert exports_text(ours.exports, kept_exports(ours, state)) == finished(OSLO).dropin


@pytest.mark.parametrize(
    "observed",
    [
        {"clients": ["10.0.0.3"]},
        {"clients": [], "mounted": [["/srv/pods/bergen", "10.0.0.3"]]},
        {"clients": None},
    ],
)
def test_an_export_that_a_client_may_have_mounted_goes_by_an_explicit_word_alone(observed: dict[str, Any]) -> None:
    state = finished(OSLO, BERGEN, **observed)
    (refusal,) = export_refusals(plan(GOES, oslo="10.0.0.2"), state)
    assert refusal.startswith("/srv/pods/bergen stays exported to 10.0.0.3: ")
    assert refusal.endswith("or add the directory to nfs_remove_mounted_exports")
    assert export_refusals(plan(GOES_MOUNTED, oslo="10.0.0.2"), state) == []
    assert export_refusals(OSLO, state) == []


def test_what_other_clients_have_mounted_does_not_hinder() -> None:
    state = finished(OSLO, BERGEN, clients=["10.0.0.4"], mounted=[["/srv/pods/oslo", "10.0.0.3"]])
    assert export_refusals(plan(GOES, oslo="10.0.0.2"), state) == []


def test_a_word_never_takes_the_export_of_a_host_of_this_inventory() -> None:
    ours = plan({"nfs_remove_mounted_exports": ["/srv/pods/oslo"]}, oslo="10.0.0.2")
    state = finished(OSLO)
    assert table_drift(ours, state) == []
    assert exports_text(ours.exports, kept_exports(ours, state)) == state.dropin


def test_a_line_that_the_role_did_not_write_into_its_file_goes_unless_somebody_may_have_it_mounted() -> None:
    state = finished(OSLO)
    world = replace(
        state,
        dropin=f"{state.dropin}/srv/pods/oslo *(rw)\n",
        own=[*state.own, ["/srv/pods/oslo", "*"]],
        table=[*state.table, ["/srv/pods/oslo", "*", "rw"]],
        clients=["10.0.0.2"],
    )
    assert export_refusals(OSLO, world) == [], "the host has an entry of its own there"
    assert table_drift(OSLO, world) == ["/srv/pods/oslo is still exported to *"]
    assert exports_text(OSLO.exports, kept_exports(OSLO, world)) == state.dropin
    (refusal,) = export_refusals(OSLO, replace(world, clients=["10.0.0.2", "10.0.0.77"]))
    assert "/srv/pods/oslo stays exported to *: 10.0.0.77 may have it mounted" in refusal


def test_two_inventories_with_one_directory_are_refused() -> None:
    """Two hosts would write one session tree: of one name or not, with one directory in the other or not."""
    theirs = finished(plan(oslo="10.0.0.7"), clients=["10.0.0.7"])
    (refusal,) = export_refusals(OSLO, theirs)
    assert refusal.startswith(
        "/srv/pods/oslo of oslo is also exported as /srv/pods/oslo to 10.0.0.7 (oslo), by another"
    )
    deep = host("deep", ssh_hostname="10.0.0.7", pods_export="/srv/pods/oslo/deep")
    inside = plan_fleet([server(), deep]).servers["nfs1"]
    for one, other in ((OSLO, inside), (inside, OSLO)):
        assert len(export_refusals(one, finished(other))) == 1
    assert export_refusals(plan(oslo2="10.0.0.2"), finished(OSLO)) == [], "oslo2 is not in oslo"


def shared(count: int, **addresses: str) -> ServerPlan:
    """The plan of a server with one export for several hosts, each with a project root of its own there."""
    names = {f"h{number}": f"10.1.{number // 250}.{number % 250 + 1}" for number in range(count)} | addresses
    data = {name: {"pods_export": "/srv/pods/all", "nanoclaw_root": f"/pods/{name}/nanoclaw"} for name in names}
    hosts = [host(name, **data[name], ssh_hostname=at) for name, at in names.items()]
    return plan_fleet([server(), *hosts]).servers["nfs1"]


def test_a_host_that_leaves_a_shared_export_or_gets_another_address_there_stays_and_hinders_nobody() -> None:
    before = finished(shared(3), clients=["10.1.0.1", "10.1.0.2", "10.1.0.3"])
    for now in (shared(2), shared(3, h2="10.0.0.9")):
        assert export_refusals(now, before) == []
        assert [it.key for it in kept_exports(now, before)] == [("/srv/pods/all", "10.1.0.3")]
        assert any("/srv/pods/all to 10.1.0.3 (h2)" in note for note in export_notes(now, before))


def test_a_tree_inside_a_shared_export_is_refused_all_the_same() -> None:
    inside = "# x\n/srv/pods/all/deep 10.0.0.7(rw,sync)\n"
    state = finished(shared(2), dropin=exports_text(shared(2).exports) + inside)
    (refusal,) = export_refusals(shared(2), state)
    assert refusal.startswith("/srv/pods/all of h0 is also exported as /srv/pods/all/deep to 10.0.0.7 (x)")


def test_a_large_fleet_with_one_export_is_judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each host against each would be half a million pairs."""
    judged: list[Any] = []

    def judge(*pair: Any) -> str:
        judged.append(pair)
        return ""

    monkeypatch.setattr("tasks.model.nfs.exports._shared", judge)
    assert export_refusals(shared(1000), finished(shared(1000))) == [] and len(judged) <= 1000


def test_a_host_with_another_address_is_exported_to_under_both_until_the_old_one_goes() -> None:
    state = finished(plan(oslo="10.0.0.7"))
    assert export_refusals(OSLO, state) == []
    assert [str(it) for it in kept_exports(OSLO, state)] == ["/srv/pods/oslo to 10.0.0.7 (oslo)"]
    word = plan({"nfs_remove_exports": ["/srv/pods/oslo"]}, oslo="10.0.0.2")
    assert removed_exports(word, state) == [("/srv/pods/oslo", "10.0.0.7")]


def test_two_directories_that_lead_to_one_on_the_server_are_refused() -> None:
    ours = plan(oslo="10.0.0.2", bergen="10.0.0.3")
    state = finished(ours, real={"/srv/pods/oslo": "/data/oslo", "/srv/pods/bergen": "/data/oslo/b"})
    (refusal,) = export_refusals(ours, state)
    assert "/srv/pods/bergen of bergen (/data/oslo/b) and /srv/pods/oslo of oslo (/data/oslo) lie one inside" in refusal
    apart = replace(state, real={"/srv/pods/oslo": "/data/oslo", "/srv/pods/bergen": "/data/b"})
    assert export_refusals(ours, apart) == []


def test_another_files_definition_of_the_same_is_refused_with_the_file() -> None:
    state = finished(OSLO, elsewhere=[["/etc/exports", "/srv/pods/oslo", "10.0.0.2"], ["/etc/exports", "/home", "*"]])
    assert export_refusals(OSLO, state) == [
        "/etc/exports exports /srv/pods/oslo to 10.0.0.2 already: remove that line, then run again"
    ]


@pytest.mark.parametrize(
    ("root", "client", "follows"),
    [
        ("/srv", "10.0.0.0/24", "oslo cannot mount /srv/pods/oslo with NFSv4 and sees it as /pods/oslo"),
        ("/srv", "*", "sees it as /pods/oslo"),
        ("/srv", "*.lan", "sees it as /pods/oslo"),
        ("/export", "10.0.0.2", "does not see it at all"),
        ("/", "*", None),
        ("/srv", "10.9.0.0/24", None),
    ],
)
def test_an_fsid_0_elsewhere_is_named_with_what_follows(root: str, client: str, follows: str | None) -> None:
    notes = export_notes(OSLO, finished(OSLO, roots=[[root, client]]))
    if follows is None:
        assert notes == []
        return
    (note,) = notes
    assert note.startswith(f"{root} is exported to {client} with fsid=0, which makes it the root for NFSv4: ")
    assert follows in note and "pods_nfs_version" in note


@pytest.mark.parametrize(
    ("client", "address", "match"),
    [
        ("10.0.0.2", "10.0.0.2", True),
        ("10.0.0.2", "10.0.0.3", False),
        ("10.0.0.0/30", "10.0.0.3", True),
        ("10.0.0.0/30", "10.0.0.4", False),
        ("10.0.0.0/30", "fd00::1", False),
        ("fd00::/64", "fd00::1", True),
        ("*", "10.0.0.2", True),
        ("@hosts", "10.0.0.2", True),
    ],
)
def test_a_client_of_exports_5_may_be_an_address(client: str, address: str, match: bool) -> None:
    assert matches(client, address) is match


def test_long_lists_are_cut() -> None:
    many = plan({}, **{f"h{number:03}": f"10.0.1.{number}" for number in range(1, 100)})
    (note,) = export_notes(OSLO, finished(OSLO, many))
    assert note.count(" to 10.0.1.") == 10 and "and 89 more; nfs_remove_exports" in note


_hosts = st.dictionaries(
    st.sampled_from("abcdef"), st.integers(2, 200).map("10.0.0.{}".format), min_size=1, max_size=5
).filter(lambda hosts: len(set(hosts.values())) == len(hosts))


@given(_hosts, _hosts)
def test_no_run_of_another_inventory_takes_an_export_or_changes_it(one: dict[str, str], other: dict[str, str]) -> None:
    """Law: after any other inventory's run, what is not that inventory's own is in the drop-in as it was."""
    first, second = plan({}, **one), plan({}, **other)
    state = finished(first)
    text = exports_text(second.exports, kept_exports(second, state))
    for export in first.exports:
        if (export.path, export.client) not in {(it.path, it.client) for it in second.exports}:
            assert f"# {export.host}\n{export.path} {export.client}({','.join(export.options)})\n" in text
    assert removed_exports(second, state) == []
