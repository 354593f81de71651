"""The export table in force against the wanted one."""

from __future__ import annotations

from tasks.model.exports import table_drift, table_entries
from tasks.model.fleet import plan_fleet
from tasks.model.plan import Machine

SERVER = Machine("server", ("nfs_servers",), {"nfs_address": "10.0.0.1"})
PLAN = plan_fleet([SERVER, Machine("oslo", ("nanoclaw_hosts",), {"pods_address": "10.0.0.2"})]).servers["server"]
TABLE = table_entries(PLAN.exports)
OPTIONS = TABLE[0][2:]


def test_the_wanted_table_has_no_drift_and_an_empty_one_has() -> None:
    assert table_drift(PLAN, TABLE, []) == []
    assert table_drift(PLAN, [], []) == [f"/srv/pods/oslo is not exported to 10.0.0.2 with {','.join(OPTIONS)}"]
    (other,) = table_drift(PLAN, [[*TABLE[0][:2], "ro", *OPTIONS[1:]]], [])
    assert other.startswith("/srv/pods/oslo is not exported to 10.0.0.2 with rw,")


def test_another_client_of_our_path_is_left_over() -> None:
    found = table_drift(PLAN, [*TABLE, ["/srv/pods/oslo", "10.0.0.9", *OPTIONS]], [])
    assert found == ["/srv/pods/oslo is exported to 10.0.0.9, which nothing defines"]


def test_a_host_that_left_the_inventory_loses_its_export_even_if_a_reload_was_missed() -> None:
    gone = [*TABLE, ["/srv/pods/bergen", "10.0.0.3", *OPTIONS]]
    assert table_drift(PLAN, gone, []) == ["/srv/pods/bergen is exported to 10.0.0.3, which nothing defines"]


def test_what_others_export_is_theirs() -> None:
    theirs = [
        *TABLE,
        ["/srv/pods/films", "10.0.0.3", "ro"],
        ["/home", "10.0.0.3", "rw"],
        ["/srv/pods/x", "nas.lan", "rw"],
    ]
    assert table_drift(PLAN, theirs, [["/etc/exports", "/srv/pods/films", "10.0.0.3"]]) == []
