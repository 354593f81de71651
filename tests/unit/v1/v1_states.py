"""Replies about NanoClaw v1 installs: one that can be migrated, and many of all kinds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import strategies as st

from files.pods.v1.running_state import PidFile, Process, Unasked, Unit
from files.pods.v1.v1_state import (
    Candidate,
    Database,
    Group,
    Home,
    Install,
    Mounts,
    Owner,
    Senders,
    Space,
    Task,
    Tree,
    V1State,
)
from tests.builders import host_plan

PATH = "/home/andy/nanoclaw"
GIB = 1 << 30
UNIT = Unit("user", "nanoclaw.service", f"{PATH}/../nanoclaw.service", 1001, "/home/andy", True, "active")
TREE = Tree("there", 10_000, 10, {}, {})
DATABASE = Database(
    state="read",
    text="",
    bytes=65536,
    wal=0,
    journal=0,
    uid=1001,
    is_main=True,
    checked=True,
    groups=[Group("main", "tg:1", True, True, []), Group("family", "1@g.us", False, False, [])],
    tasks=[Task("main", "tg:1", "cron", "0 7 * * *", "active", True)],
    sessions=["family", "main"],
)
HOME = Home("/home/andy", True, "process 7", 0, None, None)
INSTALL = Install(
    path=PATH,
    version="1.2.53",
    owner=Owner(1001, 1001, "andy"),
    units=[UNIT],
    processes=[Process(7, 1001, PATH, "user", "nanoclaw.service", 1001)],
    pid_file=None,
    containers=[],
    folders=["family", "global", "main"],
    conversations={"family": 1, "main": 1},
    auth=0,
    skills=["agent-browser"],
    env=["ANTHROPIC_API_KEY", "TZ"],
    homes=[HOME],
    database=DATABASE,
    trees=dict.fromkeys(("store", "groups", "data"), TREE),
    elsewhere=[],
    env_unread=[],
    unasked=[],
    strangers=[],
)
SPACES = [Space("/opt/nanoclaw", 1, 50 * GIB, 10**6), Space("/pods", 2, 50 * GIB, 10**6)]


def v1_state(install: Install | None = INSTALL, **differs: Any) -> V1State:
    """The reply of a machine with this install."""
    candidates = [Candidate(PATH, ["nanoclaw_v1_dir"], "v1")] if install else []
    return replace(V1State(candidates, [], None, install, SPACES), **differs)


def with_lists(senders: Senders | None = None, mounts: Mounts | None = None) -> Install:
    """The install with other allow-lists."""
    return replace(INSTALL, homes=[replace(HOME, senders=senders, mounts=mounts)])


def with_database(**differs: Any) -> Install:
    """The install with another database."""
    return replace(INSTALL, database=replace(DATABASE, **differs))


host = partial(host_plan, nanoclaw_v1_dir=PATH)
"""The plan of a host with a migration in its data."""


_folders = st.sampled_from(["main", "family", "work", "global", "old", "x"])
_jids = st.sampled_from(
    [
        "tg:1",
        "tg:-2",
        "1@g.us",
        "2@s.whatsapp.net",
        "dc:3",
        "dc:4",
        "slack:C1",
        "gmail:a",
        "nothing",
        ":x",
        "x:",
        "@g.us",
    ]
)
_maybe = st.sampled_from([None, True, False])
_groups = st.builds(Group, _folders, _jids, st.booleans(), _maybe, st.lists(st.just("/srv/papers"), max_size=1))
_values = st.sampled_from(
    ["3600000", "5m", "60m", "23h", "0 7 * * *", "0 7 * *", "2027-01-01T00:00:00", "", "5s", "0d"]
)
_tasks = st.builds(
    Task,
    _folders,
    _jids,
    st.sampled_from(["cron", "interval", "once", "at", "never", ""]),
    _values,
    st.sampled_from(["active", "paused", "completed", ""]),
    _maybe,
)
_database = st.builds(
    Database,
    state=st.just("read"),
    text=st.just(""),
    bytes=st.integers(0, 10**9),
    wal=st.sampled_from([0, 4096]),
    journal=st.sampled_from([0, 4096]),
    uid=st.sampled_from([0, 1001, 1002]),
    is_main=st.booleans(),
    checked=st.booleans(),
    groups=st.lists(_groups, max_size=5, unique_by=lambda group: group.jid),
    tasks=st.lists(_tasks, max_size=6),
    sessions=st.lists(_folders, max_size=3, unique=True),
)
_kinds = st.sampled_from(["link", "special", "unreadable", ".git", "node_modules", "memory", "logs"])
_tree = st.builds(
    Tree,
    st.sampled_from(["there", "absent", "link", "no directory", "unreadable"]),
    st.integers(0, 10**12),
    st.integers(0, 10**7),
    st.dictionaries(_kinds, st.integers(1, 9), max_size=4),
    st.dictionaries(_kinds, st.lists(st.just("main/x"), max_size=3), max_size=2),
)
_manager = st.sampled_from(["system", "user"])
_unit = st.builds(
    Unit,
    _manager,
    st.sampled_from(["nanoclaw.service", "claw.service"]),
    st.sampled_from(["/etc/a", "/home/b"]),
    st.sampled_from([None, 0, 1001, 1002]),
    st.sampled_from([None, "/root"]),
    st.booleans(),
    st.sampled_from(["active", "inactive", "failed", "unknown"]),
    st.none() | st.just("EnvironmentFile=/x may set HOME"),
    st.booleans(),
)
_process = st.builds(
    Process,
    st.integers(1, 9),
    st.sampled_from([0, 1001]),
    st.just(PATH),
    _manager,
    st.none() | st.just("claw.service"),
    st.sampled_from([None, 1001]),
)
_home = st.builds(
    Home,
    st.sampled_from(["/home/andy", "/root"]),
    st.booleans(),
    st.just("process 7"),
    st.integers(0, 1),
    st.none() | st.builds(Senders, st.just("/s"), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 1)),
    st.none() | st.builds(Mounts, st.just("/m"), st.booleans(), st.booleans(), st.integers(0, 2)),
)
installs = st.builds(
    Install,
    path=st.just(PATH),
    version=st.none() | st.just("1.2.0"),
    owner=st.builds(Owner, st.sampled_from([0, 1001, 1002]), st.just(0), st.none() | st.just("andy")),
    units=st.lists(_unit, max_size=2),
    processes=st.lists(_process, max_size=2),
    pid_file=st.none() | st.builds(PidFile, st.just(f"{PATH}/nanoclaw.pid"), st.none() | st.integers(1, 9)),
    containers=st.none() | st.lists(st.just("nanoclaw-main-1"), max_size=1),
    folders=st.lists(_folders, max_size=4, unique=True),
    conversations=st.dictionaries(_folders, st.integers(1, 3), max_size=4),
    auth=st.sampled_from([0, 3]),
    skills=st.lists(st.just("weather"), max_size=1),
    env=st.none() | st.lists(st.sampled_from(["TZ", "DISCORD_PUBLIC_KEY"]), max_size=2, unique=True),
    homes=st.lists(_home, max_size=2),
    database=_database,
    trees=st.fixed_dictionaries({"store": _tree, "groups": _tree, "data": _tree}),
    elsewhere=st.lists(st.just(f"{PATH}/groups/disk"), max_size=1),
    env_unread=st.just([]),
    unasked=st.lists(st.builds(Unasked, st.sampled_from([None, 0, 1001]), st.just("no answer")), max_size=1),
    strangers=st.lists(st.just("/home/eve/x.service of uid 1002"), max_size=1),
)
"""Installs with a database that was read."""
