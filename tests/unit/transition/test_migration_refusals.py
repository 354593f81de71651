"""Refusals of a migration: each has a way out, and a sound install has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.v1.running_state import PidFile, Process, Unit
from files.pods.v1.v1_state import Candidate, Mounts, Owner, Senders, Space, Tree
from tasks.model.migration.plan import plan_migration
from tasks.model.migration.refusals import Refusal, plan_refusal, refusals, rollback_refusals
from tests.unit.v1.v1_states import (
    INSTALL,
    PATH,
    SPACES,
    TREE,
    UNIT,
    host,
    installs,
    v1_state,
    with_database,
    with_lists,
)

HOST, AUTO = host(), host(nanoclaw_v1_dir="auto")
ROOT_UNIT = replace(UNIT, manager="system", uid=0, file="/etc/systemd/system/nanoclaw.service")


def in_the_way(install: Any, spaces: list[Space] = SPACES) -> list[Refusal]:
    return list(refusals(install, plan_migration(install, spaces, HOST), HOST))


def candidate(path: str, kind: Any = "v1") -> Candidate:
    return Candidate(path, [f"by {path}/x.service"], kind)


def test_sound_install_is_not_refused() -> None:
    assert plan_refusal(v1_state(), HOST) is None and in_the_way(INSTALL) == []
    stopped = replace(INSTALL, units=[replace(UNIT, active="inactive")], processes=[])
    of_root = replace(INSTALL, units=[ROOT_UNIT], processes=[Process(7, 0, PATH, "system", "nanoclaw.service")])
    assert in_the_way(stopped) == in_the_way(of_root) == in_the_way(replace(INSTALL, units=[], processes=[])) == []


@given(installs)
def test_each_refusal_has_a_reason_and_a_way_out(install: Any) -> None:
    for refusal in in_the_way(install):
        assert refusal.why and refusal.way_out and str(refusal) == f"{refusal.why}: {refusal.way_out}"
        assert str(refusal).isprintable()


@given(installs)
def test_refusals_depend_only_on_the_reply(install: Any) -> None:
    text = "\n".join(map(str, in_the_way(install)))
    assert ("services run it" in text) == (len(install.units) > 1)
    loose = [one for one in install.processes if not any(one.is_of(unit) for unit in install.units)]
    assert ("runs outside of its services" in text) == bool(loose)
    linked = [tree for tree in install.trees.values() if tree.state == "link"]
    assert ("is a symbolic link" in text) == bool(linked)


@pytest.mark.parametrize(
    ("state", "plan", "why", "way_out"),
    [
        (None, HOST, "inspection of NanoClaw v1 failed", "run again"),
        (v1_state(error="no end within 240 s"), HOST, "did not finish: no end within 240 s", "check the server"),
        (v1_state(replace(INSTALL, path="/pods/groups/v1")), AUTO, "lies in /pods/groups, which v2 owns", "move v1"),
        (
            v1_state(replace(INSTALL, path="/proc/7/root/v1")),
            AUTO,
            "lies on a virtual or temporary file system",
            "name the directory",
        ),
        (v1_state(None), AUTO, "no NanoClaw v1 was found", "set nanoclaw_v1_dir to the directory"),
        (v1_state(None, unseen=["/home"]), AUTO, "not inspected /home", "remove the setting"),
        (
            v1_state(None, candidates=[candidate("/opt/gone", "absent"), candidate("/opt/two", "v2")]),
            AUTO,
            "inspected /opt/gone (by /opt/gone/x.service, no directory), /opt/two (by /opt/two/x.service, a v2)",
            "remove the setting",
        ),
        (
            v1_state(None, candidates=[candidate("/opt/a"), candidate("/opt/b"), candidate("/opt/c", "v2")]),
            AUTO,
            "several installs of NanoClaw v1 were found, /opt/a (by /opt/a/x.service), /opt/b (by /opt/b/x.service)",
            "set nanoclaw_v1_dir to the directory of the v1",
        ),
        (v1_state(None, candidates=[candidate(PATH, "v2")]), HOST, f"{PATH} is a NanoClaw v2", "remove the setting"),
        (v1_state(None, candidates=[candidate(PATH, "absent")]), HOST, "is no directory", "remove the setting"),
        (v1_state(None, candidates=[candidate(PATH, "no database")]), HOST, "has no database", "restore it"),
        (
            v1_state(replace(INSTALL, path="/opt/nanoclaw")),
            AUTO,
            "lies inside the project root",
            "set nanoclaw_root to another",
        ),
        (v1_state(with_database(state="missing")), HOST, "has no database, store/messages.db", "restore it"),
        (v1_state(with_database(state="corrupt", text="malformed")), HOST, "is corrupt (malformed)", "restore it"),
        (v1_state(with_database(state="foreign", text="none")), HOST, "is no database of NanoClaw v1", "start v1 once"),
        (
            v1_state(with_database(state="unread", text="too large")),
            HOST,
            "cannot be read (too large)",
            "start and stop",
        ),
    ],
)
def test_reply_without_a_usable_install_is_refused(state: Any, plan: Any, why: str, way_out: str) -> None:
    refusal = plan_refusal(state, plan)
    assert refusal is not None
    assert why in refusal.why and way_out in refusal.way_out, refusal


FULL = [Space("/opt/nanoclaw", 1, 1 << 20, 10**6), Space("/pods", 2, 1 << 40, 5)]


@pytest.mark.parametrize(
    ("install", "why", "way_out"),
    [
        (
            replace(INSTALL, processes=[Process(99, 1001, PATH, "system", None)]),
            "outside of its services, as process 99, and",
            "kill 99",
        ),
        (
            replace(
                INSTALL,
                processes=[Process(99, 1001, PATH, "system", "cron.service")],
                pid_file=PidFile(f"{PATH}/nanoclaw.pid", 99),
            ),
            f"as process 99 ({PATH}/nanoclaw.pid)",
            "kill 99",
        ),
        (
            replace(INSTALL, units=[replace(ROOT_UNIT, active="inactive"), UNIT]),
            "2 services run it, /etc/systemd/system/nanoclaw.service (inactive)",
            "remove their files",
        ),
        (replace(INSTALL, units=[replace(UNIT, active="unknown")]), "state of", "systemctl --user show"),
        (replace(INSTALL, owner=Owner(1002, 1002, "eve")), "runs as uid 1001", f"chown -R 1001: {PATH}"),
        (with_database(uid=0), "its database to uid 0", f"chown -R 1001: {PATH}"),
        (replace(INSTALL, units=[replace(ROOT_UNIT, uid=None)], processes=[]), "does not know", "correct its User="),
        (replace(INSTALL, homes=[]), "no user of this machine", "chown -R USER:"),
        (
            replace(INSTALL, trees={**INSTALL.trees, "groups": replace(TREE, state="link")}),
            f"{PATH}/groups is a symbolic link",
            "bind mount",
        ),
        (
            replace(INSTALL, trees={**INSTALL.trees, "data": Tree("there", 1, 1, {"unreadable": 2}, {})}),
            f"root may not read all of {PATH}/data, 2 entries",
            "no_root_squash",
        ),
        (
            replace(INSTALL, trees={**INSTALL.trees, "store": replace(TREE, state="unreadable")}),
            f"root may not read all of {PATH}/store, 1 entry (store)",
            "no_root_squash",
        ),
        (replace(INSTALL, elsewhere=[f"{PATH}/groups/disk"]), "other file systems are mounted in it", "unmount them"),
    ],
)
def test_unsuitable_install_is_refused(install: Any, why: str, way_out: str) -> None:
    (refusal,) = in_the_way(install)
    assert why in refusal.why and way_out in refusal.way_out, refusal


def test_refusal_distinguishes_space_from_inodes() -> None:
    small, few = in_the_way(INSTALL, FULL)
    assert small.why == "/opt/nanoclaw would need 64.1 MiB, and has 1.0 MiB free"
    assert few.why == "/pods would need 22 inodes, and has 5 inodes free"


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_more_space_never_causes_a_refusal(one: int, more: int) -> None:
    def refused(free: int) -> bool:
        return bool(in_the_way(INSTALL, [replace(SPACES[0], bytes=free), SPACES[1]]))

    assert refused(one + more) <= refused(one)


def test_sender_allow_list_that_v2_would_open_is_refused() -> None:
    """v2 does not read it, so the operator must set whom v2 answers."""
    listed = with_lists(senders=Senders("/home/andy/.config/nanoclaw/sender-allowlist.json", True, True, False, 0))
    (refusal,) = in_the_way(listed)
    assert "v2 does not read it" in refusal.why and "nanoclaw_v1_unknown_senders" in refusal.way_out
    chosen = host(nanoclaw_v1_unknown_senders="strict")
    assert list(refusals(listed, plan_migration(listed, SPACES, chosen), chosen)) == []
    everybody = with_lists(senders=Senders("/home/andy/x.json", True, True, True, 0))
    assert in_the_way(everybody) == []
    (refusal,) = in_the_way(with_lists(senders=Senders("/home/andy/x.json", False, False, False, 0)))
    assert "root may not read /home/andy/x.json" in refusal.why


def test_files_that_every_audit_would_miss_are_refused_before_staging() -> None:
    blocked = Tree("there", 0, 3, {"in the way": 2}, {"in the way": ["main/container.json", "also"]})
    (refusal,) = in_the_way(replace(INSTALL, trees={**INSTALL.trees, "groups": blocked}))
    assert refusal.why.startswith(f"2 entries of {INSTALL.path}/groups cannot be migrated")
    assert "rename it" in refusal.way_out
    (refusal,) = in_the_way(with_lists(mounts=Mounts("/home/andy/m.json", False, False, 0)))
    assert refusal.why.startswith("/home/andy/m.json is a link")


def test_user_without_a_manager_is_refused() -> None:
    (refusal,) = in_the_way(replace(INSTALL, units=[replace(INSTALL.units[0], active="no manager")]))
    assert "enable-linger" in refusal.way_out


@pytest.mark.parametrize(
    ("units", "why"),
    [
        (INSTALL.units, ""),
        ([], "there is none"),
        ([*INSTALL.units, *INSTALL.units], "a rollback needs one service"),
        ([replace(INSTALL.units[0], active="no manager")], "does not answer"),
        ([replace(INSTALL.units[0], active="unknown")], "does not answer"),
        ([replace(INSTALL.units[0], active="inactive")], ""),
    ],
)
def test_rollback_to_a_v1_without_a_service_is_refused(units: list[Unit], why: str) -> None:
    reasons = [refusal.why for refusal in rollback_refusals(replace(INSTALL, units=units), host())]
    assert len(reasons) == bool(why) and all(why in text for text in reasons)
