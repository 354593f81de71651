"""What a version is refused for, and what a move to it does, to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from files.pods.service.protocol import Health
from files.pods.source.protocol import DatabaseCopy, DatabaseState, Needs, PreviousCheckout, VersionState
from tasks.model.host.checkout import checkout_problem
from tasks.model.versions.lowest_version import old_refs
from tasks.model.versions.version_needs import direction_problems, restores, version_notes, version_problems
from tests.builders import one_host
from tests.unit.source.test_checkout import DONE, plan

NEEDS = Needs(version="2.3.1", node=">=20", sqlite=12, api=False, gateway=False, marker=False)
COPY = DatabaseCopy("/opt/nanoclaw/.git/nanoclaw-pods-database/1", "2.0.64", 1.0)
DATABASE = DatabaseState(there=True, error="", newer=[], copy=COPY)
LATER = replace(DATABASE, newer=list("abcdef"))
PLACE = "http://10.0.0.5:10254"
WHAT = "v2 (2.3.1)"
MIGRATED = f"/opt/nanoclaw/data/v2.db was migrated by a later version than {WHAT}: a, b, c, d, e"


def state(database: DatabaseState | None = DATABASE, health: Health | None = None, **needs: Any) -> VersionState:
    return VersionState(needs=replace(NEEDS, **needs), health=health, database=database)


@pytest.mark.parametrize(
    ("version_state", "data", "text"),
    [
        (state(), {}, None),
        (VersionState(), {}, None),
        (
            state(gateway=True),
            {},
            f"{WHAT} starts only with a credential gateway, and it registers none (src/gateway-providers/installed.ts)."
            ' Set nanoclaw_gateway to "onecli" and nanoclaw_gateway_server to the address of a OneCLI that runs, or'
            " nanoclaw_ref to a version before 2.4.0",
        ),
        *(
            (
                state(**needs),
                {},
                f"{WHAT} needs Node {expected}, and this machine has 22.13.0. Install another, or set nanoclaw_node to "
                '"nodesource" and nanoclaw_node_versions to what it needs',
            )
            for needs, expected in (
                ({"node": ">=24"}, ">=24"),
                ({"sqlite": 13}, ">=22.14.0"),
                ({"sqlite": 14, "node": None}, ">=22.14.0"),
                ({"sqlite": 13, "node": ">=24"}, ">=24 and >=22.14.0"),
            )
        ),
        (state(sqlite=None, node=None), {}, None),
        (state(node="lts/*"), {}, None),
        (state(health=Health(PLACE, 200, "")), {}, None),
        (
            state(health=Health(PLACE, 404, "")),
            {},
            f"{WHAT} needs a OneCLI that serves /v1, and GET {PLACE}/v1/health (ONECLI_URL) answers 404: update "
            "OneCLI, then run again",
        ),
        *(
            (
                state(health=health),
                {},
                f"{WHAT} gets its credentials from OneCLI, and GET {PLACE}/v1/health (ONECLI_URL) {expected_text}: no "
                "agent would answer. Start it, then run again",
            )
            for health, expected_text in (
                (Health(PLACE, 500, ""), "answers 500"),
                (Health(PLACE, None, "Connection refused"), "fails: Connection refused"),
            )
        ),
        (state(None), {}, None),
        (
            state(replace(DATABASE, error="disk I/O error")),
            {},
            "/opt/nanoclaw/data/v2.db cannot be read (disk I/O error), so no copy of it can be made: correct that, "
            "then run again",
        ),
        (
            state(LATER),
            {},
            f"{MIGRATED}. New chats would fail: set nanoclaw_ref to that version, or nanoclaw_newer_database to "
            '"restore" to go back to the copy of 2.0.64',
        ),
        (
            state(replace(LATER, copy=None)),
            {"nanoclaw_newer_database": "restore"},
            f"{MIGRATED}. There is no copy from before that, and new chats would fail: set nanoclaw_ref to that "
            "version",
        ),
        (state(LATER), {"nanoclaw_newer_database": "restore"}, None),
        (state(LATER), {"nanoclaw_newer_database": "keep"}, None),
        (state(replace(LATER, copy=None)), {"nanoclaw_newer_database": "keep"}, None),
    ],
)
def test_a_version_that_cannot_run_on_a_machine_is_refused(
    version_state: VersionState, data: dict[str, Any], text: str | None
) -> None:
    assert version_problems(version_state, plan(**data), "22.13.0") == ([text] if text else [])
    assert checkout_problem(replace(DONE, version=version_state, node="22.13.0"), plan(**data)) == text


COMMIT = "c" * 40
INSTALLED = (
    "/opt/nanoclaw has NanoClaw {}, which this role did not install, and v2 (2.3.1) {}: set nanoclaw_ref to {}, "
)
INSTALLED += 'which is checked out there, or nanoclaw_newer_database to "keep" to go down'


@pytest.mark.parametrize(
    ("version", "ref", "text"),
    [
        ("2.3.0", "v2.3.0", None),
        ("2.3.1", COMMIT, None),
        ("2.3.1-rc.1", COMMIT, None),
        ("2.3.2-rc.1", COMMIT, INSTALLED.format("2.3.2-rc.1", "is earlier", COMMIT)),
        ("2.3.10", "v2.3.10", INSTALLED.format("2.3.10", "is earlier", "v2.3.10")),
        ("2026.10.0", "v2026.10.0", INSTALLED.format("2026.10.0", "is earlier", "v2026.10.0")),
        ("mine", COMMIT, INSTALLED.format("mine", "may be earlier", COMMIT)),
        (None, COMMIT, INSTALLED.format("of an unknown version", "may be earlier", COMMIT)),
    ],
)
def test_a_nanoclaw_that_the_role_did_not_install_is_not_moved_down(version: str | None, ref: str, text: str) -> None:
    version_state = replace(state(), previous=PreviousCheckout(version, ref))
    expected = [text] if text else []
    assert version_problems(version_state, plan(), None) == direction_problems(version_state, plan()) == expected
    assert version_problems(version_state, plan(nanoclaw_newer_database="keep"), None) == []
    assert version_problems(version_state, plan(nanoclaw_newer_database="restore"), None) == expected
    unread = replace(version_state, needs=None)
    assert version_problems(unread, plan(), None) == []
    assert version_problems(replace(unread, fetched="2.3.1"), plan(), None) == expected


MIGRATES = {"nanoclaw_v1_dir": "/srv/claw"}
ROLLS_BACK = {**MIGRATES, "nanoclaw_v1_rollback": True}
V1 = "this role installs v2 only: set nanoclaw_ref to a version from 2.0.5 on. To migrate a v1 that runs, set "
V1 += "nanoclaw_v1_dir to its directory"


@pytest.mark.parametrize(
    ("needs", "data", "text"),
    [
        ({"version": "1.2.53"}, {}, f"v2 (1.2.53) is NanoClaw v1, and {V1}"),
        ({"version": "1.2.53"}, MIGRATES, f"v2 (1.2.53) is NanoClaw v1, and {V1}"),
        ({"version": "0.1.0", "slug": True}, {}, None),
        ({"version": "None", "slug": True}, {}, None),
        (
            {"version": "None"},
            {},
            "v2 (None) names no version of NanoClaw in its package.json: set nanoclaw_ref to a release of v2",
        ),
        (
            {"version": "2.0.4", "slug": True},
            {},
            "v2 (2.0.4) is too old for this role: set nanoclaw_ref to a version from 2.0.5 on",
        ),
        ({"version": "2.0.5"}, {}, None),
        ({"version": "2.0.10"}, {}, None),
        ({"version": "2026.10.0-rc.1"}, {}, None),
        (
            {"version": "2.0.25"},
            MIGRATES,
            "v2 (2.0.25) cannot migrate from v1, for it has no setup/migrate-v2: set nanoclaw_ref to a version from "
            "2.0.26 on",
        ),
        ({"version": "2.0.25"}, ROLLS_BACK, None),
        ({"version": "2.0.26"}, MIGRATES, None),
    ],
)
def test_a_version_that_is_too_old_is_refused(needs: dict[str, Any], data: dict[str, Any], text: str | None) -> None:
    version_state = state(**needs)
    expected = [text] if text else []
    assert version_problems(version_state, plan(**data), None) == direction_problems(version_state, plan(**data))
    assert direction_problems(version_state, plan(**data)) == expected


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"nanoclaw_ref": "v1.2.53"}, f"v1.2.53 is NanoClaw v1, and {V1}"),
        ({"nanoclaw_ref": "v2.0.4"}, "v2.0.4 is too old for this role: set nanoclaw_ref to a version from 2.0.5 on"),
        (
            {"nanoclaw_ref": "v2.0.5", **MIGRATES},
            "v2.0.5 cannot migrate from v1, for it has no setup/migrate-v2: set nanoclaw_ref to a version from 2.0.26 "
            "on",
        ),
        ({"nanoclaw_ref": "v1.2.53", **ROLLS_BACK}, None),
        ({"nanoclaw_ref": "v1.2.53", "nanoclaw_repository": "https://git.invalid/fork.git"}, None),
        ({"nanoclaw_ref": "v2.0.5"}, None),
        ({"nanoclaw_ref": "v2026.10.0"}, None),
        ({"nanoclaw_ref": "main"}, None),
        ({"nanoclaw_ref": "0683c6e"}, None),
        ({}, None),
    ],
)
def test_a_release_that_is_too_old_is_refused_by_its_tag(data: dict[str, Any], text: str | None) -> None:
    """A fork's tags are its own: its versions are judged by their files."""
    problems = [(one.machine, one.key, one.reason, one.text) for one in old_refs(one_host(**data))]
    assert problems == ([("oslo", "nanoclaw_ref", "version-too-old", text)] if text else [])


def test_all_that_a_version_lacks_is_reported_at_once() -> None:
    lackingon_state = state(LATER, Health(PLACE, 404, ""), gateway=True, node=">=24")
    problems = version_problems(lackingon_state, plan(), "22.13.0")
    assert len(problems) == 4
    assert checkout_problem(replace(DONE, version=lackingon_state, node="22.13.0"), plan()) == "; ".join(problems)
    assert len(version_problems(lackingon_state, plan(), None)) == 3, "a Node that is not there yet is not judged"


@pytest.mark.parametrize(
    ("version_state", "choice", "copy"),
    [
        (state(LATER), "restore", COPY),
        (state(LATER), "keep", None),
        (state(LATER), "refuse", None),
        (state(DATABASE), "restore", None),
        (state(None), "restore", None),
        (state(replace(LATER, copy=None)), "restore", None),
    ],
)
def test_a_copy_comes_back_only_where_that_was_chosen(
    version_state: VersionState, choice: str, copy: DatabaseCopy | None
) -> None:
    assert restores(version_state, plan(nanoclaw_newer_database=choice)) == copy


COPIED = "/opt/nanoclaw/data/v2.db is copied before v2 is checked out"
LOAD = {"nanoclaw_image": "load", "nanoclaw_image_archive": "/srv/a.tar", "nanoclaw_image_name": "agent:1"}


@pytest.mark.parametrize(
    ("version_state", "commit", "data", "notes"),
    [
        (
            VersionState(),
            "a",
            {},
            ["what v2 needs (Node, OneCLI, a gateway, the database) is known once it is fetched"],
        ),
        (state(), "a", {}, [COPIED]),
        (state(), None, {}, []),
        (state(None), "a", {}, []),
        (state(replace(DATABASE, there=False)), "a", {}, []),
        (state(None, marker=True), "a", {}, ["the marker of the upgrade to 2.3.1 is set after the build"]),
        (
            state(None, api=True),
            "a",
            {},
            ["v2 needs a OneCLI that serves /v1; ONECLI_URL is not set yet, so no request was made"],
        ),
        (state(None, Health(PLACE, 200, ""), api=True), "a", {}, [f"GET {PLACE}/v1/health answers 200"]),
        (replace(state(None), lock_changed=True), "a", {}, []),
        (
            replace(state(None), lock_changed=True),
            "a",
            LOAD,
            ["container/agent-runner/bun.lock differs in v2: build agent:1 from that version too"],
        ),
        (replace(state(None), lock_changed=False), "a", LOAD, []),
    ],
)
def test_what_a_move_does_beside_the_checkout_is_reported_before_it(
    version_state: VersionState, commit: str | None, data: dict[str, Any], notes: list[str]
) -> None:
    assert version_notes(version_state, plan(**data), commit) == notes
