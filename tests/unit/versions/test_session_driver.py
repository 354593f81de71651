"""The session driver of a version: what is expected of a tag, what a server exports for, and what files decide."""

from __future__ import annotations

from typing import Any

import pytest

from files.pods.source.protocol import Needs
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import HostPlan
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.model.versions.session_driver import (
    driver_matters,
    driver_problem,
    expected_drivers,
    exported_drivers,
    other_drivers,
)
from tests.builders import host, machines, server

OF_1000: dict[str, Any] = {"nanoclaw_uid": 1000, "nanoclaw_gid": 998}


def plan_of(driver: bool, **data: Any) -> HostPlan:
    return plan_fleet([server(), host(**data)], drivers={"oslo": driver}).hosts["oslo"]


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("v2.0.64", False),
        ("v2.2.0", False),
        ("v2.3.0-rc.1", True),
        ("2.3.0", True),
        ("v2.10.0", True),
        ("v2026.10.0-rc.2", True),
        ("v2026.10.0", True),
        ("main", None),
        ("0123456789abcdef0123456789abcdef01234567", None),
    ],
)
def test_a_tag_says_what_to_expect_and_a_branch_nothing(ref: str, expected: bool | None) -> None:
    assert expected_drivers([server(), host(nanoclaw_ref=ref)]).get("oslo") is expected


def test_the_default_version_has_none() -> None:
    assert expected_drivers(machines(oslo={})) == {"oslo": False}


@pytest.mark.parametrize(
    ("data", "matters"),
    [
        ({}, False),
        (OF_1000, True),
        ({"nanoclaw_uid": 1000, "nanoclaw_gid": 1000, "nanoclaw_image_uid": 1001}, True),
        ({"nanoclaw_uid": 1001, "nanoclaw_gid": 998}, False),
        ({"nanoclaw_user": "root"}, False),
    ],
)
def test_it_matters_for_a_host_of_uid_1000_with_other_ids_than_its_image(data: dict[str, Any], matters: bool) -> None:
    for driver in (False, True):
        assert driver_matters(plan_of(driver, **data)) is matters


def test_the_plan_follows_it() -> None:
    before, after = plan_of(False, **OF_1000), plan_of(True, **OF_1000)
    assert (before.agent, after.agent) == (Ids(1000, 1000), Ids(1000, 998))
    assert (before.stored_agent, after.stored_agent) == (Ids(1000, 1000), Ids(1000, 998))
    assert (before.runs_as_image_user, after.runs_as_image_user) == (True, False)


def test_the_server_exports_for_the_agent_of_the_version() -> None:
    for driver, gid in ((False, 1000), (True, 998)):
        fleet = plan_fleet([server(), host(**OF_1000)], drivers={"oslo": driver})
        (export,) = fleet.servers["nfs1"].exports
        assert export.owner == Ids(1000, gid) and f"anongid={gid}" in export.options


@pytest.mark.parametrize(
    ("options", "drivers"),
    [
        (["all_squash", "anonuid=1000", "anongid=1000"], {"oslo": False}),
        (["root_squash", "anonuid=1000", "anongid=998"], {"oslo": True}),
        (["all_squash", "anonuid=1000", "anongid=997"], {}),
        (["no_root_squash", "anonuid=1000", "anongid=998"], {}),
        (["all_squash", "anonuid=-2", "anongid=998"], {}),
        ([], {}),
    ],
)
def test_an_export_tells_for_which_agent_it_was_made(options: list[str], drivers: dict[str, bool]) -> None:
    fleet = plan_fleet([server(), host(**OF_1000)])
    table = [["/srv/pods/oslo", "10.0.0.2", "rw", *options]]
    assert exported_drivers(fleet, "nfs1", table) == drivers
    assert exported_drivers(fleet, "nfs2", table) == {}
    assert exported_drivers(plan_fleet(machines(oslo={})), "nfs1", table) == {}, "it does not matter there"


def test_what_is_known_of_hosts_is_compared_with_their_plans() -> None:
    fleet = plan_fleet(machines(oslo={}, bergen={}), drivers={"oslo": True})
    assert not other_drivers(fleet, {"oslo": True, "bergen": False, "elsewhere": True})
    assert other_drivers(fleet, {"oslo": False}) and other_drivers(fleet, {"bergen": True})


def test_files_that_come_with_the_run_and_contradict_its_plan_end_it() -> None:
    """A new host: nothing is known before the fetch, and no wrong owner is to stay."""
    needs = Needs("2.3.0", None, None, False, False, False, driver=True)
    plan = plan_of(False, **OF_1000, nanoclaw_ref="main")
    assert driver_problem(needs, plan) == (
        "agents of main (2.3.0) run as 1000:998, and this run has planned for 1000:1000, for the files of that version "
        "were not here yet: run again"
    )
    assert driver_problem(needs, plan_of(True, **OF_1000)) is None
    assert driver_problem(needs, plan_of(False)) is None, "the same ids either way"
