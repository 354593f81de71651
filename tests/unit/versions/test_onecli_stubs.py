"""Credential stubs of OneCLI's gateway, which stay the host's: where agents would not read them, or not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from files.pods.source.protocol import Needs, VersionState
from tasks.model.versions.onecli_stubs import stub_problem
from tasks.model.versions.version_needs import version_problems
from tests.builders import host_plan
from tests.unit.source.source_host import OLD, Host

NEEDS = Needs("2.4.0", None, None, False, True, True, ("onecli",))
ONECLI = {"nanoclaw_ref": "v2", "nanoclaw_gateway": "onecli", "nanoclaw_gateway_server": "http://10.0.0.5:10254"}
ROOT = {"nanoclaw_user": "root"}
ON_PODS = {"nanoclaw_root": "/pods/nanoclaw"}
OTHER_OWNER = (
    "v2 (2.4.0) starts no agent where another user than the host process (uid 0) owns /pods/nanoclaw/data/onecli, and "
    "on these pods the server makes uid 1000 the owner: set nanoclaw_root to a directory on a local disk, outside of "
    "/pods, or nanoclaw_user to a user with uid 1000"
)
UNREADABLE = (
    "/opt/nanoclaw/data/onecli has credential stubs of OneCLI that only the host process (uid 0) may read, and v2 "
    "(2.4.0) runs agents as uid 1000: set nanoclaw_user to a user other than root; agents have its uid then"
)


@pytest.mark.parametrize(
    ("data", "stubs", "text"),
    [
        ({}, True, None),
        (ROOT, False, None),
        (ROOT, True, UNREADABLE),
        ({**ROOT, "pods_access": "chown"}, True, UNREADABLE),
        (ON_PODS, True, None),
        ({**ROOT, **ON_PODS}, False, OTHER_OWNER),
        ({**ROOT, **ON_PODS}, True, OTHER_OWNER),
        ({**ROOT, **ON_PODS, "pods_access": "chown"}, False, None),
        ({"nanoclaw_uid": 1500, **ON_PODS}, True, None),
    ],
)
def test_a_host_is_refused_where_its_agents_get_no_stubs(data: dict[str, Any], stubs: bool, text: str | None) -> None:
    plan, state = host_plan(**ONECLI, **data), VersionState(needs=NEEDS, stubs=stubs)
    assert stub_problem(state, plan) == text
    assert version_problems(state, plan, None) == ([text] if text else [])


def test_a_version_without_such_a_gateway_is_not_refused() -> None:
    plan = host_plan(nanoclaw_ref="v2", **ROOT, **ON_PODS)
    before = Needs("2.3.0", None, None, False, False, True)
    assert stub_problem(VersionState(needs=before), plan) is None
    assert stub_problem(VersionState(), plan) is None, "its files are not there yet"
    iron = host_plan(**{**ONECLI, "nanoclaw_gateway": None, "nanoclaw_gateway_server": None}, **ROOT, **ON_PODS)
    assert stub_problem(VersionState(needs=NEEDS), iron) is None


def test_stubs_are_read_from_the_machine_for_a_version_that_mounts_them(host: Host) -> None:
    def stubs(ref: str) -> bool:
        return host.look(ref).version.stubs

    host.check_out("v2.4.0")
    place = Path(host.root / "data/onecli")
    assert not stubs("v2.4.0")
    place.mkdir(parents=True)
    (place / "directory").mkdir()
    (place / "link").symlink_to("/etc/hostname")
    assert not stubs("v2.4.0"), "none of these is a stub"
    (place / ("1a" * 32)).write_text("")
    assert stubs("v2.4.0")
    host.check_out(OLD)
    assert not stubs(OLD), "this version mounts none"
