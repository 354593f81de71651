"""The preflight, before anything changes: in which order it refuses, and once for all machines of a run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra import logger
from pyinfra.context import ctx_state

from files.pods.nfs.export_state import ExportState
from tasks import preflight
from tasks.model.fleet.plan import Machine, Problem
from tasks.model.fleet.plan_fleet import plan_fleet
from tasks.preflight import Checked, PreflightError
from tasks.run_context import Once
from tests.builders import machines

MACHINES = machines(oslo={}, bergen={"pods_access": "chown", "nanoclaw_user": "root"})
FLEET = plan_fleet(MACHINES)


class Inventory:
    """Machines with their data, one of them outside of the run, and one that is none of the role's."""

    def __init__(self) -> None:
        more = [Machine("other", ("web",), {})]
        self._hosts = [
            SimpleNamespace(
                name=it.name, groups=list(it.groups), data=SimpleNamespace(dict=lambda it=it: dict(it.data))
            )
            for it in (*MACHINES, *more)
        ]

    def __iter__(self) -> Any:
        return iter(self._hosts)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr(logger, "info", lambda line, *args: logged.append(line % args))
    return logged


class Steps:
    """The steps of a preflight, each with what it refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: str | None = None) -> None:
        self.done: list[str] = []
        self.refuses = refuses
        self.members: list[str] = []
        self.of_files: dict[str, bool] = {}
        steps = self

        class MachineStates:
            def __init__(self, members: Any) -> None:
                self.members = members
                steps.members = [member.name for member in members]
                self.machines = {"nfs1": SimpleNamespace(places=None), "oslo": SimpleNamespace()}
                self.exports = {"nfs1": SimpleNamespace(dropin=None, table=[]), "oslo": None}
                self.chosen = SimpleNamespace(ids={})
                self.drivers: dict[str, bool] = {}
                self.desired_drivers: dict[str, bool] = {}

            def settle(self, fleet: Any, _plan: Any) -> Any:
                steps.done.append("settle")
                return fleet

            def say(self) -> None:
                steps.done.append("say")

        monkeypatch.setattr(preflight, "MachineStates", MachineStates)
        monkeypatch.setattr(preflight, "add_role_group_data", lambda _inventory: None)
        monkeypatch.setattr(preflight, "only_reads", lambda: False)
        monkeypatch.setattr(
            preflight, "state", SimpleNamespace(is_host_in_limit=lambda member: member.name != "bergen")
        )
        monkeypatch.setattr(preflight, "limit_problems", lambda *_args: self.step("limit"))
        monkeypatch.setattr(preflight, "machine_problems", lambda *_args: self.step("machines"))
        monkeypatch.setattr(preflight, "unserved", lambda *_args: self.step("unserved"))
        monkeypatch.setattr(preflight, "server_problems", lambda *_args: self.step("places"))
        monkeypatch.setattr(preflight, "_export_problems", lambda *_args: self.step("exports"))
        monkeypatch.setattr(preflight, "observe", lambda *_args, only_reads: ({}, self.step("observe")))
        monkeypatch.setattr(preflight, "agent_uid_problems", lambda *_args: self.step("uids"))
        monkeypatch.setattr(preflight, "ask_machines", lambda *_args: self.step("ask"))
        monkeypatch.setattr(preflight, "drivers_of", lambda *_args: self.of_files)
        monkeypatch.setattr(preflight, "look_at_v2", lambda *_args: self.step("v2"))
        monkeypatch.setattr(preflight, "check_checkouts", lambda *_args: self.step("versions"))
        monkeypatch.setattr(preflight, "plan_migrations", lambda *_args, only_reads: ({"oslo": "m"}, self.step("v1")))
        monkeypatch.setattr(preflight, "plan_changes", lambda *_args: ({"bergen": "c"}, self.step("changes")))
        monkeypatch.setattr(preflight, "guards_first", lambda *_args: frozenset({"oslo"}))
        monkeypatch.setattr(preflight, "stops_first", lambda *_args: frozenset({"bergen"}))

    def step(self, name: str) -> list[Problem]:
        """Notes a step; its problem, if it is to have one."""
        self.done.append(name)
        return [Problem("oslo", name, "is in the way", "in-the-way")] if name == self.refuses else []


ORDER = ["limit", "settle", "machines", "unserved", "places", "exports", "observe", "settle", "uids", "ask", "say"]
ORDER += ["v2", "versions", "v1", "changes"]


def check() -> Checked:
    inventory: Any = Inventory()
    with ctx_state.use(SimpleNamespace()):
        return preflight._check_machines(inventory)


def test_a_fleet_in_which_nothing_stands_in_the_way_is_checked(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch)
    checked = check()
    assert steps.done == ORDER and steps.members == ["nfs1", "oslo"]
    assert (set(checked.servers), set(checked.hosts)) == ({"nfs1"}, {"oslo", "bergen"})
    migrations: Any = checked.migrations
    assert migrations == {"oslo": "m"} and list(checked.changes) == ["bergen"] and checked.guards_first == {"oslo"}
    assert checked.stops_first == {"bergen"}
    assert lines[0] == "--> Preflight: looking at 2 machines, before anything is changed..."
    (strategy,) = lines[1:]
    assert strategy.startswith("    pods_access squash for oslo: ")


@pytest.mark.parametrize("driver", [False, True])
def test_files_of_a_version_with_other_ids_for_its_agents_plan_again(
    driver: bool, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default version has no session driver: no file that says so costs another round trip."""
    steps = Steps(monkeypatch)
    steps.of_files = {"oslo": driver}
    checked = check()
    assert checked.hosts["oslo"].driver is driver
    again = ["settle", "uids", "ask"] if driver else []
    first = ORDER.index("say")
    assert steps.done == [*ORDER[:first], *again, *ORDER[first:]]


@pytest.mark.parametrize(
    ("refuses", "last"),
    [
        ("limit", "limit"),
        ("machines", "exports"),
        ("unserved", "exports"),
        ("places", "exports"),
        ("exports", "exports"),
        ("observe", "observe"),
        ("uids", "uids"),
        ("v2", "versions"),
        ("versions", "versions"),
        ("v1", "v1"),
    ],
)
def test_a_refusal_ends_the_preflight_before_what_rests_on_it(
    refuses: str, last: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, refuses)
    with pytest.raises(PreflightError) as raised:
        check()
    first, problem, *way_out = str(raised.value).splitlines()
    assert (first, problem) == ("nothing was changed, because:", f"  oslo: {refuses}: is in the way")
    of_run = refuses in ("limit", "places", "exports")
    assert way_out == ([] if of_run else ["to go on without this host, add --exclude oslo"])
    assert steps.done[-1] == last == ORDER[len(steps.done) - 1]


def test_a_host_that_the_rest_cannot_do_without_is_not_to_be_left_out(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its server would stop squashing, and its guard must run before that."""
    Steps(monkeypatch, "v2")
    judged: list[set[str]] = []

    def left_out(_fleet: Any, _server: Any, _table: Any, running: set[str]) -> list[Problem]:
        judged.append(running)
        return [Problem("oslo", "pods_access", "x", "guard-left-out")]

    monkeypatch.setattr(preflight, "guard_left_out_problems", left_out)
    with pytest.raises(PreflightError) as raised:
        check()
    assert str(raised.value) == "nothing was changed, because:\n  oslo: v2: is in the way"
    assert judged == [{"nfs1"}]


def test_a_server_or_the_last_machine_is_not_to_be_left_out() -> None:
    states: Any = SimpleNamespace(members=[SimpleNamespace(name="oslo")], exports={})
    for name in ("oslo", "nfs1"):
        with pytest.raises(PreflightError) as raised:
            preflight._refuse([Problem(name, "key", "x", "r")], FLEET, states)
        assert str(raised.value) == f"nothing was changed, because:\n  {name}: key: x"


def test_hosts_of_one_strategy_are_named_together(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    monkeypatch.setattr(preflight, "state", SimpleNamespace(is_host_in_limit=lambda _member: True))
    monkeypatch.setattr(
        preflight,
        "_strategies",
        lambda _fleet, _members: {("squash", "as set"): ["oslo", "bergen"], ("chown", "x"): ["a"]},
    )
    check()
    assert steps.members == ["nfs1", "oslo", "bergen"]
    assert lines[1:] == ["    pods_access chown for a: x", "    pods_access squash for oslo, bergen: as set"]


EXPORTS = ExportState(None, None, [], [], {}, True, True, ["+3", "+4", "+4.2"], threads=8)


def test_other_clients_of_a_server_are_reported_and_no_problem(lines: list[str]) -> None:
    server = FLEET.servers["nfs1"]
    exports = replace(EXPORTS, clients=["10.0.0.2", "10.0.7.7"])
    assert list(preflight._export_problems(FLEET, server, exports, ["nfs1", "oslo"])) == []
    assert lines == ["    nfs1: others use this NFS server: 10.0.7.7"]


def test_a_host_that_wants_nfsv3_of_a_server_without_is_refused(lines: list[str]) -> None:
    fleet = plan_fleet(machines(oslo={"pods_nfs_version": "3"}))
    exports = replace(EXPORTS, versions=["-3", "+4", "+4.2"], v3=False)
    problems = list(preflight._export_problems(fleet, fleet.servers["nfs1"], exports, ["nfs1", "oslo"]))
    text = "nfs1 serves NFSv4 only; set nfs_v3 to True there, or use '4.2'"
    assert problems == [Problem("oslo", "pods_nfs_version", text, "server-speaks-no-v3")]
    assert problems[0].reason == "server-speaks-no-v3"


def test_problems_are_named_once_in_order_and_in_printable_text() -> None:
    problems: list[Problem | str] = [
        Problem("b", "key", "x\x1b[2J", "r-b"),
        Problem("a", "key", "y", "r-a"),
        "a: key: y",
    ]
    assert str(PreflightError(problems)) == "nothing was changed, because:\n  a: key: y\n  b: key: x\\x1b[2J"


def test_the_way_out_for_the_others_is_the_last_line() -> None:
    error = PreflightError([Problem("a", "key", "y", "r-a")], "go on\x1b")
    assert str(error) == "nothing was changed, because:\n  a: key: y\ngo on\\x1b"


def test_a_fleet_is_checked_once_also_where_it_is_refused() -> None:
    done: list[str] = []
    inventory: Any = object()

    def plan(_inventory: Any) -> int:
        done.append("plan")
        return len(done)

    def refuse(_inventory: Any) -> int:
        done.append("refuse")
        raise PreflightError(["no"])

    once = Once()
    assert (once(plan, inventory), once(plan, inventory), Once()(plan, inventory)) == (1, 1, 2)
    for _turn in range(2):
        with pytest.raises(PreflightError, match="no"):
            once(refuse, inventory)
    assert done == ["plan", "plan", "refuse"]


def test_guards_start_first_on_hosts_of_their_own_server() -> None:
    checked = Checked(FLEET.servers, FLEET.hosts, {}, {}, frozenset({"oslo", "bergen"}))
    assert checked.guards_first_on("nfs1") == ("bergen", "oslo") and checked.guards_first_on("nfs2") == ()
    checked = Checked(FLEET.servers, FLEET.hosts, {}, {}, frozenset(), frozenset({"oslo", "bergen"}))
    assert checked.stops_first_on("nfs1") == ("bergen", "oslo") and checked.stops_first_on("nfs2") == ()


@pytest.mark.parametrize("unmatched", [[], ["--limit olso matches no machine"]])
@pytest.mark.parametrize("refused", [False, True])
def test_host_data_is_judged_before_machines_are_connected(
    unmatched: list[str], refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []

    def limit_problems(_inventory: Any, limit: Any) -> list[str]:
        done.append(limit)
        return unmatched

    def init(inventory: Any, config: Any, initial_limit: Any = None) -> None:
        done.append((inventory, config, initial_limit))

    monkeypatch.setattr(preflight, "limit_problems", limit_problems)
    monkeypatch.setattr(preflight, "add_role_group_data", lambda _inventory: done.append("group data"))
    inventory: Any = Inventory()
    if refused:
        inventory._hosts[1].data = SimpleNamespace(dict=lambda: {"pods_path": "relative"})
    state: Any = SimpleNamespace(init=init)
    preflight.check_settings_before_connecting(state)
    with ctx_state.use(state):
        if unmatched or refused:
            with pytest.raises(PreflightError, match="olso" if unmatched else "oslo: pods_path"):
                state.init(inventory, "config", ["oslo"])
        else:
            state.init(inventory, "config", ["oslo"])
    assert done == [(inventory, "config", ["oslo"]), ["oslo"], *([] if unmatched else ["group data"])]
