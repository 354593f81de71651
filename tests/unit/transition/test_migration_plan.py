"""The disposition of each part of a NanoClaw v1, the space that it needs, and its text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.transition.documents import Journal
from files.pods.transition.protocol import Progress
from files.pods.v1.v1_state import Group, Mounts, Senders, Space, Task, Tree
from tasks.model.fleet.system_paths import STATE_DIRECTORY
from tasks.model.migration.channels import channel_of
from tasks.model.migration.chats import task_disposition
from tasks.model.migration.paths import chats_digest, is_staged
from tasks.model.migration.plan import MigrationPlan, plan_migration
from tasks.model.migration.plan_item import Disposition, parts_with
from tasks.model.migration.plan_text import duration, render, size
from tests.unit.v1.v1_states import (
    DATABASE,
    GIB,
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

HOST, ON_PODS = host(), host(nanoclaw_root="/pods/nanoclaw-v2")
LOCAL = host(pods_server="local")
DISPOSITIONS: tuple[Disposition, ...] = ("migrated", "needs_fix", "skipped")


def planned(install: Any = INSTALL) -> MigrationPlan:
    return plan_migration(install, SPACES, HOST)


def plan_lines(install: Any = INSTALL) -> str:
    return "\n".join(render(v1_state(install), install, planned(install)))


@given(installs)
def test_each_part_has_one_disposition(install: Any) -> None:
    items = planned(install).items
    assert [part for part, times in Counter(part for item in items for part in item.of).items() if times > 1] == []
    every = set().union(*(parts_with(items, disposition) for disposition in DISPOSITIONS))
    assert {f"group {group.jid}" for group in install.database.groups} <= every
    assert {f"task {number}" for number in range(len(install.database.tasks))} <= every
    assert {f"conversations {folder}" for folder in install.conversations} <= every


@given(installs)
def test_part_that_is_not_carried_has_a_reason_of_one_line(install: Any) -> None:
    plan = planned(install)
    assert all(bool(item.why) == (item.disposition != "migrated") and item.of for item in plan.items)
    assert all(line.isprintable() and line for line in render(v1_state(install), install, plan))


@given(installs)
def test_task_and_conversation_are_carried_only_with_their_chat(install: Any) -> None:
    migrated = parts_with(planned(install).items, "migrated")
    folders = {group.folder for group in install.database.groups if f"group {group.jid}" in migrated}
    for number, task in enumerate(install.database.tasks):
        assert f"task {number}" not in migrated or f"group {task.jid}" in migrated
    assert {part.removeprefix("conversations ") for part in migrated if part.startswith("conv")} <= folders


@given(installs)
def test_group_without_a_conversation_is_reported(install: Any) -> None:
    items = planned(install).items
    named = {part.removeprefix("first conversation ") for item in items for part in item.of if "first conv" in part}
    going = {
        group.folder for group in install.database.groups if f"group {group.jid}" not in parts_with(items, "skipped")
    }
    assert named == going - set(install.conversations)


_amounts = st.none() | st.integers(0, 10**14)


@given(
    installs,
    st.sampled_from([HOST, ON_PODS, LOCAL]),
    st.lists(st.builds(Space, st.just(""), st.none() | st.integers(1, 2), _amounts, _amounts), min_size=2, max_size=2),
)
def test_needed_space_is_at_least_the_size_of_v1(install: Any, plan: Any, spaces: list[Space]) -> None:
    places = [replace(spaces[0], path=plan.root), replace(spaces[1], path=plan.settings.pods_path)]
    needed = plan_migration(install, places, plan).needs
    assert sum(need.bytes for need in needed) >= sum(tree.bytes for tree in install.trees.values())
    assert sum(need.entries for need in needed) >= sum(tree.entries for tree in install.trees.values())
    for need in needed:
        known = need.free is None or need.free >= need.bytes
        assert need.fits == (known and (need.free_entries is None or need.free_entries >= need.entries))


def test_paths_on_one_file_system_need_their_sum() -> None:
    state = Space(STATE_DIRECTORY, 3, 10**12, 10**9)
    apart = plan_migration(INSTALL, [*SPACES, state], LOCAL).needs
    together = plan_migration(
        INSTALL, [SPACES[0], *(replace(one, device=1) for one in (SPACES[1], state))], LOCAL
    ).needs
    assert [need.paths for need in apart] == [("/opt/nanoclaw",), (STATE_DIRECTORY,), ("/pods",)]
    assert [need.paths for need in together] == [("/opt/nanoclaw", STATE_DIRECTORY, "/pods")]
    assert together[0].bytes < sum(need.bytes for need in apart) <= together[0].bytes + (128 << 20)


def test_staged_files_need_no_space_again() -> None:
    needed = plan_migration(INSTALL, SPACES, LOCAL, staged=True).needs
    assert all(need.bytes < (65 << 20) and need.entries < 5 for need in needed)
    mine = Journal("h", PATH, "/v2", "u", chats_digest(INSTALL), {}, 1, "staged", [], None, None, aside=False)
    journals = {
        "": mine,
        "v1": replace(mine, v1="/other"),
        "chats": replace(mine, chats="x"),
        "state": replace(mine, state="staging"),
        "aside": replace(mine, aside=True),
    }
    progress = {change: Progress(one, False, False, False, True) for change, one in journals.items()}
    assert [change for change, one in progress.items() if is_staged(one, INSTALL)] == [""]


def test_pods_need_all_space_if_they_hold_the_root() -> None:
    need, _backup = plan_migration(INSTALL, [Space("/pods/nanoclaw-v2", None, None, None)], ON_PODS).needs
    assert (need.paths, need.free, need.fits) == (("/pods/nanoclaw-v2",), None, True)


@pytest.mark.parametrize(
    ("jid", "channel"),
    [
        ("4790000001@s.whatsapp.net", "whatsapp"),
        ("1203@g.us", "whatsapp"),
        ("99@LID", "whatsapp"),
        ("tg:-100", "telegram"),
        ("DC:1", "discord"),
        ("slack:C01", "slack"),
        ("gmail:a@b", "gmail"),
        ("a@b", None),
        ("main", None),
        ("tg:", None),
        (":1", None),
    ],
)
def test_channel_follows_from_the_name_of_a_chat(jid: str, channel: str | None) -> None:
    assert channel_of(jid) == channel


@pytest.mark.parametrize(
    ("task", "disposition", "why"),
    [
        (Task("main", "tg:1", "cron", "0 7 * * *", "active", True), "migrated", ""),
        (Task("main", "tg:1", "cron", "0 7 * * * *", "active", True), "migrated", ""),
        (Task("main", "tg:1", "cron", "@daily", "active", True), "needs_fix", "cron expression"),
        (Task("main", "tg:1", "once", "2027-01-01T09:00:00", "active", True), "migrated", ""),
        (Task("main", "tg:1", "interval", "3600000", "active", True), "needs_fix", "milliseconds"),
        (Task("main", "tg:1", "interval", "59m", "active", True), "migrated", ""),
        (Task("main", "tg:1", "interval", "60m", "active", True), "needs_fix", "milliseconds"),
        (Task("main", "tg:1", "interval", "30s", "active", True), "needs_fix", "milliseconds"),
        (Task("main", "tg:1", "cron", "0 7 * * *", "paused", True), "needs_fix", "active ones only"),
        (Task("main", "tg:1", "once", "2020-01-01", "completed", True), "skipped", "done"),
        (Task("main", "tg:1", "cron", "0 7 * * *", "", True), "skipped", "v1 itself does not run tasks of this status"),
        (Task("main", "tg:1", "never", "0 7 * * *", "paused", True), "skipped", "v2 does not know tasks of this kind"),
        (Task("main", "tg:1", "interval", "soon", "active", True), "skipped", "v1 itself could not schedule them"),
        (Task("main", "tg:1", "cron", "1 2 3 4 5 6 7", "active", True), "skipped", "v1 itself could not schedule them"),
        (Task("gone", "tg:1", "cron", "0 7 * * *", "active", True), "skipped", "group is not registered"),
        (Task("main", "tg:9", "cron", "0 7 * * *", "active", True), "skipped", "group is not registered"),
        (Task("dm", "dc:1", "cron", "0 7 * * *", "active", True), "needs_fix", "direct chats of Discord"),
        (Task("dm", "dc:1", "cron", "0 7 * * *", "active", None), "needs_fix", "direct chats of Discord"),
        (Task("dm", "dc:1", "cron", "0 7 * * *", "active", False), "needs_fix", "with their groups"),
        (Task("mail", "gmail:a", "cron", "0 7 * * *", "active", False), "skipped", "v2 has no channel gmail"),
    ],
)
def test_disposition_of_a_task(task: Task, disposition: Disposition, why: str) -> None:
    more = [Group("dm", "dc:1", False, task.direct, []), Group("mail", "gmail:a", False, True, [])]
    database = replace(DATABASE, groups=[*DATABASE.groups, *more])
    assert task_disposition(task, database)[0] == disposition and why in task_disposition(task, database)[1]


def test_old_schema_carries_no_group_by_itself() -> None:
    plan = planned(with_database(is_main=False))
    assert {"group tg:1", "group 1@g.us", "task 0", "conversations main"} <= parts_with(plan.items, "needs_fix")


CLUB = [*DATABASE.groups, Group("dm", "dc:1", False, True, []), Group("papers", "tg:2", False, True, ["/srv/papers"])]


@pytest.mark.parametrize(
    ("install", "disposition", "part"),
    [
        (INSTALL, "migrated", "group tg:1"),
        (INSTALL, "migrated", "files of groups"),
        (INSTALL, "migrated", "env"),
        (INSTALL, "needs_fix", "modes of secrets"),
        (INSTALL, "needs_fix", "times and owners"),
        (INSTALL, "needs_fix", "memory of main"),
        (INSTALL, "needs_fix", "memory of global"),
        (INSTALL, "needs_fix", "skills of groups"),
        (INSTALL, "skipped", "owner"),
        (INSTALL, "skipped", "history"),
        (replace(INSTALL, env=None), "needs_fix", "env"),
        (replace(INSTALL, auth=3), "needs_fix", "whatsapp"),
        (replace(INSTALL, conversations={"main": 2}), "needs_fix", "conversations main"),
        (with_database(sessions=[]), "needs_fix", "conversations main"),
        (with_database(groups=[Group("../x", "tg:1", True, True, [])]), "skipped", "group tg:1"),
        (replace(INSTALL, conversations={"old": 1}), "skipped", "conversations old"),
        (replace(INSTALL, units=[replace(UNIT, manager="system")]), "needs_fix", "system unit"),
        (with_lists(senders=Senders("/s", True, True, False, 0)), "needs_fix", "senders"),
        (with_lists(senders=Senders("/s", True, True, True, 1)), "needs_fix", "senders"),
        (with_lists(senders=Senders("/s", True, True, True, 0)), "skipped", "senders"),
        (with_lists(senders=Senders("/s", True, False, True, 0)), "skipped", "senders"),
        (with_lists(mounts=Mounts("/m", True, True, 1)), "needs_fix", "mount allow-list"),
        (with_database(groups=CLUB), "needs_fix", "mounts tg:2"),
        (with_database(groups=CLUB), "needs_fix", "group dc:1"),
        (with_database(groups=CLUB), "needs_fix", "discord keys"),
        (with_database(wal=4096), "needs_fix", "wal"),
        (with_database(journal=512), "needs_fix", "journal"),
    ],
)
def test_disposition_of_a_part(install: Any, disposition: Disposition, part: str) -> None:
    assert part in parts_with(planned(install).items, disposition)


@pytest.mark.parametrize(
    ("kind", "disposition"),
    [("link", "needs_fix"), (".git", "needs_fix"), ("memory", "needs_fix"), ("node_modules", "skipped")],
)
def test_plan_names_what_nanoclaws_copy_skips(kind: str, disposition: Disposition) -> None:
    groups = Tree("there", 1, 1, {kind: 2}, {kind: ["main/a", "main/b"]})
    assert f"{kind} in groups" in parts_with(
        planned(replace(INSTALL, trees={**INSTALL.trees, "groups": groups})).items, disposition
    )
    assert f"{kind} in groups" not in str(planned().items)


def test_plan_as_text() -> None:
    text = plan_lines(replace(INSTALL, containers=["nanoclaw-main-1"]))
    for line in (
        "plan of its migration to v2:",
        "NanoClaw v1 1.2.53 in /home/andy/nanoclaw, of andy (1001:1001), user unit nanoclaw.service (active, enabled), "
        "1 agent running",
        "migrated by NanoClaw's own steps: 2 groups (family on whatsapp, main on telegram)",
        "migrated by NanoClaw's own steps: 1 task (cron active)",
        "fixed up by this role: modes of secrets; NanoClaw's own step makes .env and data/env/env world-readable",
        "skipped: changed agent runners (agent-runner-src); v2 has another",
        "size: store 9.8 KiB, groups 9.8 KiB, data 9.8 KiB, 30 entries",
        "space: 64.1 MiB for /opt/nanoclaw, 50.0 GiB free",
        "time: less than a minute for copies, at assumed rates",
    ):
        assert line in text.split("\n"), text


def test_plan_says_what_is_unknown() -> None:
    install = replace(with_database(checked=False), containers=None, units=[], processes=[], version=None)
    text = "\n".join(render(v1_state(install, unseen=["/home"]), install, planned(install)))
    assert "NanoClaw v1 of unknown version in" in text and "not running, no unit" in text
    assert text.count("unknown: ") == 3


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1 << 20, "1.0 MiB"), (5 * GIB, "5.0 GiB")]
)
def test_sizes_are_readable(number: int, text: str) -> None:
    assert size(number) == text


def test_time_grows_with_the_size_of_the_copies() -> None:
    large = replace(INSTALL, trees=dict.fromkeys(INSTALL.trees, replace(TREE, bytes=5 * GIB, entries=100_000)))
    assert planned(large).seconds > plan_migration(large, SPACES, LOCAL).seconds > planned().seconds
    assert [duration(seconds) for seconds in (0, 59, 60, 300)] == [
        *["less than a minute"] * 2,
        "about 1 minute",
        "about 5 minutes",
    ]
