"""The text of a plan for an operator equals tests/fixtures/plans/*.txt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from files.pods.v1.running_state import Process
from files.pods.v1.v1_state import Candidate, Group, Install, Mounts, Owner, Senders, Space, Task, Tree, V1State
from tasks.model.migration.plan import plan_migration
from tasks.model.migration.plan_item import counted, listed
from tasks.model.migration.plan_text import duration, render, size
from tests.unit.v1.v1_states import DATABASE, GIB, HOME, INSTALL, PATH, TREE, UNIT, host, v1_state, with_database

PLANS = Path(__file__).parents[2] / "fixtures/plans"
DISK, DISCORD = Group("disk", "dc:1", False, True, ["/srv/papers"]), Group("club", "dc:2", False, False, [])
FULL = replace(
    with_database(
        wal=8192,
        journal=4096,
        checked=False,
        groups=[
            *DATABASE.groups,
            DISK,
            DISCORD,
            Group("work", "slack:C1", False, None, []),
            Group("mail", "gmail:a", False, False, []),
            Group("..", "tg:2", False, False, []),
            Group("odd", "odd", False, False, []),
        ],
        tasks=[
            Task("main", "tg:1", "cron", "0 7 * * *", "active", True),
            Task("main", "tg:1", "once", "2020-01-01", "completed", True),
            Task("main", "tg:9", "cron", "0 7 * * *", "active", True),
            Task("mail", "gmail:a", "cron", "0 7 * * *", "active", False),
            Task("main", "tg:1", "cron", "0 7 * * *", "lost", True),
            Task("main", "tg:1", "never", "0 7 * * *", "active", True),
            Task("main", "tg:1", "interval", "soon", "active", True),
            Task("disk", "dc:1", "cron", "0 7 * * *", "active", True),
            Task("main", "tg:1", "cron", "0 7 * * *", "paused", True),
            Task("main", "tg:1", "interval", "3600000", "active", True),
            Task("main", "tg:1", "cron", "@daily", "active", True),
            Task("club", "dc:2", "at", "2027-01-01", "active", False),
        ],
        sessions=["family", "main", "club"],
    ),
    units=[replace(UNIT, manager="system", uid=0, enabled=False, active="inactive"), UNIT],
    processes=[Process(7, 1001, PATH, "user", None, 1001), *INSTALL.processes],
    containers=["nanoclaw-main-1", "nanoclaw-family-1"],
    folders=["family", "global", "main", "old"],
    conversations={"family": 1, "main": 2, "old": 1, "mail": 1, "work": 1, "disk": 3, "club": 1},
    auth=3,
    env_unread=[3, 9],
    homes=[replace(HOME, senders=Senders("/s", True, True, False, 0), mounts=Mounts("/m", True, True, 2))],
    trees={
        "store": TREE,
        "groups": Tree(
            "there",
            3 * GIB,
            600_000,
            {"link": 1, ".git": 2, "memory": 1, "logs": 2, "node_modules": 2, "special": 1},
            {"link": ["main/a"], ".git": ["x/.git", "y/.git"], "memory": ["main/b/CLAUDE.md"], "logs": ["main/logs"]},
        ),
        "data": replace(TREE, counts={"link": 1, "special": 1}, samples={"link": ["sessions/x"]}),
    },
    strangers=["/home/eve/x.service of uid 1002"],
)
BARE = replace(
    with_database(groups=[], tasks=[], sessions=[]),
    version=None,
    owner=Owner(1001, 1002, None),
    units=[],
    processes=[],
    containers=None,
    folders=[],
    conversations={},
    skills=[],
    env=None,
    homes=[replace(HOME, senders=Senders("/s", True, True, True, 0))],
)
OLD = replace(
    with_database(is_main=False, groups=DATABASE.groups[:1], sessions=[]),
    homes=[replace(HOME, senders=Senders("/s", True, False, True, 0), mounts=Mounts("/m", True, True, 1))],
    containers=["nanoclaw-main-1"],
    env=["TZ"],
    env_unread=[4],
    conversations={"main": 1},
    folders=["main"],
    auth=1,
    trees={
        **INSTALL.trees,
        "groups": replace(
            TREE,
            counts={"link": 2, ".git": 1, "logs": 1},
            samples={"link": ["a", "b"], ".git": ["main/.git"], "logs": ["a/logs"]},
        ),
    },
)
STATES = {
    "full": v1_state(
        FULL,
        unseen=["/home"],
        candidates=[Candidate(PATH, ["nanoclaw_v1_dir"], "v1"), Candidate("/home/eve/n", ["x"], "v1", trusted=False)],
    ),
    "bare": v1_state(BARE, spaces=[Space("/opt/nanoclaw", 1, 5000, 9)]),
    "old": v1_state(OLD),
}


@pytest.mark.parametrize("name", STATES)
def test_plan_text_equals_its_file(name: str) -> None:
    state: V1State = STATES[name]
    install = state.install
    assert install is not None
    text = render(state, install, plan_migration(install, state.spaces, host()))
    assert "\n".join(text) + "\n" == (PLANS / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "install"), [("full", FULL), ("bare", BARE), ("old", OLD)])
def test_each_line_covers_its_parts(name: str, install: Install) -> None:
    items = plan_migration(install, [], host()).items
    text = "".join(f"{item.what}: {', '.join(item.of)}\n" for item in items)
    assert text == (PLANS / f"{name}.parts.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("number", "text"),
    [(1024, "1.0 KiB"), (1536, "1.5 KiB"), ((1 << 30) - 1, "1024.0 MiB"), (3 * GIB // 2, "1.5 GiB")],
)
def test_size_has_the_largest_unit_that_fits(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(61, "about 1 minute"), (90, "about 2 minutes"), (89, "about 1 minute")])
def test_time_is_in_whole_minutes(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_names_are_sorted_and_the_rest_is_counted() -> None:
    assert listed(["b", "a"]) == "(a, b)"
    assert listed(list("fedcba")) == "(a, b, c, d, e and 1 more)"
    assert listed(list("cba"), 2) == "(a, b and 1 more)"


@pytest.mark.parametrize(
    ("number", "forms", "text"),
    [(0, ("task",), "0 tasks"), (1, ("task",), "1 task"), (1, ("entry", "entries"), "1 entry"), (2, ("a", "b"), "2 b")],
)
def test_things_are_counted_in_singular_and_plural(number: int, forms: tuple[str, ...], text: str) -> None:
    assert counted(number, *forms) == text
