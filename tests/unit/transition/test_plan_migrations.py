"""A run plans the migrations of its hosts: plans, waves, and the list of hosts left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra import logger

from files.pods.common.protocol import Request
from files.pods.transition.protocol import Progress
from files.pods.v1.v1_state import Space, V1State
from tasks import migration
from tasks.model.fleet.plan import FleetPlan
from tasks.model.migration.paths import chats_digest
from tasks.model.migration.plan import plan_migration
from tests.builders import fleet
from tests.unit.v1.v1_states import INSTALL, PATH, v1_state

NEW = Progress(None, under_way=False, decided=False, recorded=False, v2_has_state=False)
DECIDED = replace(NEW, decided=True)
Answer = tuple[Progress | None, V1State | None]
Looks = list[tuple[str, Any, dict[str, Any]]]


def with_v1(**hosts: dict[str, Any]) -> FleetPlan:
    return fleet(**{name: {"nanoclaw_v1_dir": PATH, **data} for name, data in hosts.items()})


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The logged lines; the list of hosts left is in a directory of its own."""
    logged: list[str] = []
    monkeypatch.setattr(logger, "info", lambda line, *args: logged.append(line % args))
    monkeypatch.setenv("NANOCLAW_PODS_LEFT", str(tmp_path / "left.txt"))
    return logged


def look(
    monkeypatch: pytest.MonkeyPatch, fleet: FleetPlan, answers: Mapping[str, Answer | None], *, only_reads: bool = False
) -> tuple[dict[str, migration.Migration], list[tuple[str, str]], Looks]:
    """The migrations, the problems by host, and the requests; a host without an answer is not connected."""
    looks: Looks = []

    def ask(member: Any, reply: Any, request: Request, timeout: int) -> Any:
        looks.append((member.name, reply, {**request.document(), "timeout": timeout}))
        progress, state = answers[member.name] or (None, None)
        return progress if reply is Progress else state

    monkeypatch.setattr(migration, "ask_machine", ask)
    monkeypatch.setattr(
        migration, "at_once", lambda members, one: [(it, one(it) if answers[it.name] else None) for it in members]
    )
    members: Any = [SimpleNamespace(name=name) for name in ("nfs1", *answers)]
    migrations, problems = migration.plan_migrations(fleet, members, only_reads=only_reads)
    return migrations, [(problem.machine, problem.text) for problem in problems], looks


def test_list_of_hosts_left_is_beside_the_inventory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NANOCLAW_PODS_LEFT", raising=False)
    monkeypatch.setattr(migration, "fleet_directory", lambda: tmp_path)
    assert migration._left_file() == tmp_path / "migration-left.txt"
    monkeypatch.setenv("NANOCLAW_PODS_LEFT", "other.txt")
    assert migration._left_file() == Path("other.txt").absolute()


def test_hosts_are_migrated_in_waves_and_listed_as_left(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "left.txt").write_text("gone\noslo\nmoved\n")
    plans = with_v1(oslo={}, bergen={"nanoclaw_canary": True}, moved={}, fresh={"nanoclaw_v1_dir": None})
    ready = (NEW, v1_state())
    answers: dict[str, Answer | None] = {"oslo": ready, "bergen": ready, "moved": (DECIDED, None), "fresh": ready}
    migrations, problems, looks = look(monkeypatch, plans, answers)
    assert problems == []
    order = [["bergen"], ["oslo"]]
    assert {name: ([list(wave) for wave in one.waves], one.install) for name, one in migrations.items()} == {
        "oslo": (order, INSTALL),
        "bergen": (order, INSTALL),
    }
    assert lines[-2:] == ["    wave 1 of the migration: bergen", "    wave 2 of the migration: oslo"]
    assert [line for line in lines if line.startswith("    oslo: ")], "the plan of each host is printed"
    assert (tmp_path / "left.txt").read_text() == "bergen\noslo\ngone\n"
    progress, v1 = [request for name, _reply, request in looks if name == "oslo"]
    assert progress["timeout"] == 60 and progress["root"] == "/opt/nanoclaw"
    assert v1 == {
        "dir": PATH,
        "root": "/opt/nanoclaw",
        "uid": 1000,
        "space": [
            {"path": "/opt/nanoclaw", "mount": None},
            {"path": "/pods", "mount": "/pods"},
            {"path": "/var/lib/nanoclaw-pods", "mount": None},
        ],
        "seconds": 240,
        "timeout": 480,
    }
    assert {name for name, _reply, _request in looks} == {"oslo", "bergen", "moved"}
    assert [reply for name, reply, _request in looks if name == "moved"] == [Progress]


@pytest.mark.parametrize(
    ("data", "mounts"),
    [
        ({"nanoclaw_user": "root", "nanoclaw_root": "/pods/n"}, ["/pods", "/pods", None]),
        ({"pods_server": "local"}, [None, None, None]),
    ],
)
def test_space_is_checked_behind_the_planned_mount(
    data: dict[str, Any], mounts: list[str | None], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, (_name, _reply, request) = look(monkeypatch, with_v1(oslo=data), {"oslo": (NEW, v1_state())})[2]
    assert [space["mount"] for space in request["space"]] == mounts


def test_dry_run_writes_no_list(lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    migrations, _problems, _looks = look(monkeypatch, with_v1(oslo={}), {"oslo": (NEW, v1_state())}, only_reads=True)
    assert set(migrations) == {"oslo"} and not (tmp_path / "left.txt").exists()


def test_run_without_migrations_leaves_the_list_alone(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "left.txt").write_text("oslo")
    assert look(monkeypatch, with_v1(oslo={"nanoclaw_v1_dir": None}), {"oslo": (NEW, v1_state())}) == ({}, [], [])
    assert (tmp_path / "left.txt").read_text() == "oslo" and lines == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (None, "this machine did not report how far its migration is: correct its error above, then run again"),
        ((None, None), "this machine did not report how far its migration is: correct its error above, then run again"),
        ((NEW, None), "the inspection of NanoClaw v1 failed"),
        ((NEW, v1_state(None)), "is no directory of this machine"),
        ((replace(NEW, v2_has_state=True), v1_state()), "has been used already"),
    ],
)
def test_host_that_cannot_be_migrated_is_a_problem_and_no_list_is_written(
    answer: Answer | None, text: str, lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _migrations, ((name, why),), _looks = look(monkeypatch, with_v1(oslo={}), {"oslo": answer})
    assert name == "oslo" and text in why
    assert not (tmp_path / "left.txt").exists()


@pytest.mark.parametrize("progress", [DECIDED, NEW])
def test_host_that_rolls_back_is_in_no_wave(
    progress: Progress, lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plans = with_v1(oslo={"nanoclaw_v1_rollback": True})
    migrations, problems, _looks = look(monkeypatch, plans, {"oslo": (progress, v1_state())})
    assert problems == [] and migrations == {"oslo": migration.Migration(INSTALL, [], ())}
    assert lines == []


def test_v1_without_a_service_cannot_be_rolled_back_to(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plans, broken = with_v1(oslo={"nanoclaw_v1_rollback": True}), v1_state(replace(INSTALL, units=[]))
    assert look(monkeypatch, plans, {"oslo": (NEW, broken)})[1] == []
    assert [name for name, _why in look(monkeypatch, plans, {"oslo": (DECIDED, broken)})[1]] == ["oslo"]


def test_unknown_space_is_checked_when_v2_is_staged(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    here = (1, 1 << 40, 1 << 20)
    spaces = [Space("/opt/nanoclaw", *here), Space("/pods", None, None, None), Space("/var/lib/nanoclaw-pods", *here)]
    state = replace(v1_state(), spaces=spaces)
    migrations, problems, _looks = look(monkeypatch, with_v1(oslo={}), {"oslo": (NEW, state)})
    assert problems == [] and migrations["oslo"].unseen and {need.free for need in migrations["oslo"].unseen} == {None}


@pytest.mark.parametrize("state", ["staged", "failed"])
def test_staged_host_needs_no_more_space_for_its_copies(
    state: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[bool] = []

    def planned(*args: Any, staged: bool = False) -> Any:
        passed.append(staged)
        return plan_migration(*args, staged=staged)

    monkeypatch.setattr(migration, "plan_migration", planned)
    journal: Any = SimpleNamespace(v1=PATH, chats=chats_digest(INSTALL), state=state, aside=False)
    look(monkeypatch, with_v1(oslo={}), {"oslo": (replace(NEW, journal=journal), v1_state())})
    assert passed == [state == "staged"]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    calls: list[tuple[str, dict[str, Any]]] = []

    def recorded(operation: str) -> Any:
        return lambda **arguments: calls.append((operation, arguments))

    for name in ("install_channels", "build", "stage", "switch", "roll_back", "record"):
        monkeypatch.setattr(migration, name, recorded(name))
    return calls


@pytest.mark.parametrize(("name", "wave", "earlier"), [("bergen", 1, ()), ("oslo", 2, ("bergen",))])
def test_host_switches_in_its_wave_once_it_is_staged(
    name: str, wave: int, earlier: tuple[str, ...], ran: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = with_v1(oslo={}, bergen={}).hosts[name]
    monkeypatch.setattr(migration, "host", SimpleNamespace(name=name, loop=list))
    one: Any = migration.migrate_v1
    one._inner(plan=plan, migration=migration.Migration(INSTALL, [["bergen"], ["oslo"]]))
    assert [operation for operation, _arguments in ran] == ["install_channels", "build", "stage", "switch"]
    channels, build, stage, switch = [arguments for _operation, arguments in ran]
    assert channels["install"] == stage["install"] == switch["install"] == INSTALL and stage["unseen"] == ()
    assert {arguments["plan"] == plan for arguments in (channels, build, stage, switch)} == {True}
    assert (switch["name"], switch["earlier"]) == (f"Switch to v2, wave {wave}", earlier)
    assert switch["left"].endswith("/left.txt")
    assert all(arguments["_timeout"] > 600 for _operation, arguments in ran)


def test_rollback_and_record_use_the_plan_of_the_host(ran: Any) -> None:
    plan = with_v1(oslo={}).hosts["oslo"]
    back, record = (getattr(migration, name) for name in ("roll_back_to_v1", "record_migration"))
    back._inner(plan=plan, migration=migration.Migration(INSTALL))
    record._inner(plan=plan)
    assert [(name, {key: it for key, it in more.items() if key in ("plan", "install")}) for name, more in ran] == [
        ("roll_back", {"plan": plan, "install": INSTALL}),
        ("record", {"plan": plan}),
    ]
