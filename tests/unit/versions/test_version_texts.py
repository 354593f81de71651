"""What a version is refused for, and what a move to it does, to the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from files.pods.service.protocol import Health
from files.pods.source.protocol import DatabaseCopy, DatabaseState, Needs, VersionState
from tasks.model.host.checkout import checkout_problem
from tasks.model.versions.version_needs import restores, version_notes, version_problems
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
            " This role cannot apply one yet: set nanoclaw_ref to a version before 2.4.0",
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
