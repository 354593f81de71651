"""The whole deploy without a machine: its cost, its order, its changes and its refusals."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from files.pods.nfs.protocol import EXPORT_OPTIONS
from files.pods.source.protocol import Needs, PreviousCheckout, VersionState
from tests.fake.bare_host import KEY, NO_ACCOUNT
from tests.fake.deploy import Outcome, costs, deploy, fleet, replies
from tests.fake.kinds import KINDS, SECRET
from tests.fixtures.cases import operations

OPERATIONS = len([name for name in operations() if not name.startswith(("migration.", "exports.", "packages."))]) - 1
"""What a finished machine may cost at most: no kind of host needs all operations of hosts, and none twice."""
TRIPS, DRY_TRIPS = 3, 2
"""The same, in round trips of a real run and of a dry one."""

DATA = fleet(**KINDS)
MACHINES = list(DATA)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return deploy(tmp_path_factory.mktemp("second"), DATA, "finished", "-y")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return deploy(tmp_path_factory.mktemp("first"), DATA, "underway", "-y")


def test_finished_fleet_is_verified_and_only_read(second: Outcome) -> None:
    assert second.exit == 0, second.log
    for machine in MACHINES:
        assert second.changed(machine) == []
        assert second.commands(machine) == []
    assert second.log.count("verified |") == len(KINDS)
    assert "    pods_access native for @fake/native: pods_access says native\n" in second.log


@pytest.mark.parametrize("machine", MACHINES)
def test_finished_machine_costs_few_operations_and_trips(second: Outcome, machine: str) -> None:
    operations = second.operations(machine)
    assert len(operations) <= OPERATIONS, operations
    assert second.trips(machine) <= TRIPS, second.facts(machine)
    assert len(set(second.facts(machine))) == len(second.facts(machine)), "read twice"


@pytest.mark.parametrize("machine", MACHINES)
def test_operations_have_their_own_names(second: Outcome, machine: str) -> None:
    names = second.operations(machine)
    assert len(set(names)) == len(names)
    assert not [name for name in names if "(" in name], "an operation without name= shows its arguments"


def test_dry_run_over_a_finished_fleet_predicts_nothing(tmp_path: Path) -> None:
    dry = deploy(tmp_path, DATA, "finished", "--dry", "--diff")
    assert dry.exit == 0, dry.log
    assert [dry.changed(machine) for machine in MACHINES] == [[]] * len(MACHINES)
    assert [dry.commands(machine) for machine in MACHINES] == [[]] * len(MACHINES)
    assert not re.search(r"^\s*\[.*\] [+-]", dry.log, re.MULTILINE), "a diff of nothing"
    assert {machine: dry.trips(machine) for machine in MACHINES if dry.trips(machine) > DRY_TRIPS} == {}


def test_machine_is_read_again_after_a_change_on_it(tmp_path: Path, second: Outcome) -> None:
    """After a new mount the paths below it are other directories than in the first replies."""
    finished = replies(DATA, "finished")["@fake/squash"]["nfs.mounts"]
    gone = {**finished, "points": {**finished["points"], "/pods": {**finished["points"]["/pods"], "mounts": []}}}
    run = deploy(
        tmp_path,
        DATA,
        "finished",
        "-y",
        instead={"@fake/squash": {"nfs.mounts": gone}},
        then={"@fake/squash": {"nfs.mounts": finished}},
    )
    assert "Pods mount | Mount the pods" in run.changed("@fake/squash"), run.log
    entries = run.facts("@fake/squash")
    for program in ("source.checkout", "guard.state", "source.agent_image", "service.env_state", "service.state"):
        assert entries.count(program) == 2, program
    assert entries.count("machine.runtime") == 1, "nothing had changed before it"
    assert run.facts("@fake/native") == second.facts("@fake/native"), "another host"


def test_hosts_are_read_again_after_a_change_on_their_server(tmp_path: Path, second: Outcome) -> None:
    finished = replies(DATA, "finished")["@fake/server"]["nfs.exports"]
    instead = {"@fake/server": {"nfs.exports": {**finished, "dropin": None}}}
    run = deploy(tmp_path, DATA, "finished", "-y", instead=instead, then={"@fake/server": {"nfs.exports": finished}})
    assert run.changed("@fake/server") == ["NFS server | Export the pods"], run.log
    for name in ("@fake/squash", "@fake/native"):
        assert run.facts(name).count("nfs.mounts") == 2 > second.facts(name).count("nfs.mounts")


def test_dry_run_over_bare_machines_predicts_all_and_sends_nothing(tmp_path: Path, first: Outcome) -> None:
    dry = deploy(tmp_path, DATA, "bare", "--dry", "--diff")
    assert dry.exit == 0, dry.log
    assert [dry.commands(machine) for machine in MACHINES] == [[]] * len(MACHINES)
    for machine in MACHINES:
        predicted, happened = set(dry.changed(machine)), set(first.changed(machine))
        assert happened == predicted, (machine, happened ^ predicted)
    assert SECRET not in dry.log + json.dumps(dict(dry.document))


def test_first_run_verifies_every_host(first: Outcome) -> None:
    assert first.exit == 0, first.log
    assert first.log.count("verified |") == len(KINDS)
    for machine in MACHINES:
        assert first.commands(machine)


def test_first_run_has_a_safe_order(first: Outcome) -> None:
    for name in KINDS:
        sent = first.commands(f"@fake/{name}")
        assert sent.index("source.fetch") < sent.index("source.build") < sent.index("source.build_image")
        assert sent.index("source.build_image") < sent.index("service.install_units") < sent.index("service.start")
        if name != "local":
            assert sent.index("nfs.apply_mounts") < sent.index("source.fetch"), "a checkout beneath the mount"
            assert sent.index("nfs.seal_mount_point") < sent.index("nfs.apply_mounts"), "an open mount point"
        of_guard = [command for command in sent if "pods-guard-" in command]
        assert bool(of_guard) == (name == "chown")
        assert all(sent.index(command) < sent.index("service.start") for command in of_guard)


def test_server_operations_come_first(first: Outcome) -> None:
    started = re.findall(r"Starting operation: (.*?) *$", first.log, re.MULTILINE)
    servers = set(first.operations("@fake/server"))
    assert set(started[: len(servers)]) == servers


def test_guard_runs_before_its_server_changes(tmp_path: Path) -> None:
    """Otherwise nobody would chown what the root host process creates between the two."""
    nothing: dict[str, Any] = {
        "program": None,
        "older": [],
        "unit": None,
        "enabled": False,
        "active": False,
        "needs_reload": False,
    }
    instead: dict[str, Any] = {"@fake/chown": {"guard.state": {**nothing, "running": [], "others": []}}}
    then = {"@fake/chown": {"guard.state": replies(DATA, "finished")["@fake/chown"]["guard.state"]}}
    run = deploy(tmp_path, DATA, "finished", "-y", instead=instead, then=then)
    started = re.findall(r"Starting operation: (.*?) *$", run.log, re.MULTILINE)
    servers = run.operations("@fake/server")
    guard = "Guard | Guard the sessions before the server changes"
    assert run.changed("@fake/chown") == [guard]
    later = started[started.index(guard) + 1 :]
    assert set(later[: len(servers)]) == set(servers)


def test_no_secret_is_in_argv_or_output(first: Outcome, second: Outcome, tmp_path: Path) -> None:
    """Also in the most verbose run: every command, its input and its output."""
    loud = deploy(tmp_path, DATA, "underway", "-y", "-vvv", "--diff", "--debug")
    assert KEY not in loud.log + json.dumps(dict(loud.sent)), "beside digests it is as good as the values"
    for outcome in (first, second, loud):
        assert SECRET not in json.dumps(dict(outcome.sent))
        assert SECRET not in outcome.log
        assert SECRET not in json.dumps(dict(outcome.document))
    assert "service.set_env" in loud.commands("@fake/squash")


def test_wrong_settings_end_the_run_before_any_contact(tmp_path: Path) -> None:
    data = fleet(
        **{**KINDS, "squash": {"pods_acces": "squash", "nanoclaw_log_keep": 0}, "local": {"pods_path": "pods"}}
    )
    for argument in ("-y", "--dry"):
        wrong = deploy(tmp_path, data, "finished", argument)
        assert wrong.exit != 0
        assert "@fake/squash: pods_acces: is no setting; did you mean pods_access?" in wrong.log
        assert "@fake/squash: nanoclaw_log_keep: 0 is refused" in wrong.log
        assert "@fake/local: pods_path: 'pods' is refused" in wrong.log
        assert "Traceback" not in wrong.log
        assert not any(wrong.sent.values())


def test_wrong_settings_outside_the_limit_end_the_run(tmp_path: Path) -> None:
    data = fleet(**{**KINDS, "chown": {"pods_access": "chown"}})
    wrong = deploy(tmp_path, data, "finished", "-y", "--limit", "@fake/squash")
    assert wrong.exit != 0 and not any(wrong.sent.values())
    assert "@fake/chown: pods_access: chown needs a host process that is root" in wrong.log


def test_limit_keeps_other_machines_untouched(tmp_path: Path) -> None:
    limited = deploy(tmp_path, DATA, "finished", "-y", "--limit", "@fake/squash")
    assert limited.exit == 0, limited.log
    assert [machine for machine in MACHINES if limited.sent[machine]] == ["@fake/squash"]


def test_refused_machine_ends_the_run_before_any_change(tmp_path: Path) -> None:
    fedora = {"uid": 1000, "python": [3, 8], "distribution": "fedora", "version": "42"}
    rest = {
        "hostname": "own",
        "systemd": True,
        "protected_hardlinks": 0,
        "mounts": [],
        "beneath": {},
        "account": None,
        "person": None,
        "free": {},
    }
    refused = deploy(tmp_path, DATA, "underway", "-y", instead={"@fake/own": {"machine.preflight": {**fedora, **rest}}})
    assert refused.exit != 0
    assert "@fake/own: machine: is fedora 42" in refused.log and "need root" in refused.log
    assert "@fake/own: machine: fs.protected_hardlinks is 0 and must be 1" in refused.log
    assert [refused.commands(machine) for machine in MACHINES] == [[]] * len(MACHINES)


def test_sessions_are_not_chowned_to_a_person(tmp_path: Path) -> None:
    machine = {**replies(DATA, "finished")["@fake/chown"]["machine.preflight"], "person": "ada"}
    refused = deploy(tmp_path, DATA, "finished", "-y", instead={"@fake/chown": {"machine.preflight": machine}})
    assert refused.exit != 0 and "@fake/chown: nanoclaw_agent_account: the agent's uid 1000 is ada's" in refused.log
    named = {**DATA, "@fake/chown": {**DATA["@fake/chown"], "nanoclaw_agent_account": "ada"}}
    assert deploy(tmp_path, named, "finished", "-y", instead={"@fake/chown": {"machine.preflight": machine}}).exit == 0


@pytest.mark.parametrize("option", ["-y", "--dry"])
def test_nanoclaw_of_another_setup_is_not_moved_down(tmp_path: Path, option: str) -> None:
    """Before anything changes on any machine; nanoclaw_newer_database and a host of the role's own go on."""
    data = fleet(squash=KINDS["squash"], native=KINDS["native"])
    needs = Needs("2.0.64", ">=20", 12, False, False, False)
    aside = VersionState(needs, previous=PreviousCheckout("2.1.24", "v2.1.24"))
    checkout = {**replies(data, "finished")["@fake/squash"]["source.checkout"], "commit": "f" * 40, "built": None}
    instead = {"@fake/squash": {"source.checkout": {**checkout, "version": asdict(aside)}}}
    refused = deploy(tmp_path, data, "finished", option, instead=instead)
    assert refused.exit != 0
    text = "@fake/squash: nanoclaw_ref: /opt/nanoclaw has NanoClaw 2.1.24, which this role did not install, and v2.0.64"
    assert f"{text} (2.0.64) is earlier: set nanoclaw_ref to v2.1.24" in refused.log
    assert "to go on without this host, add --exclude @fake/squash" in refused.log
    assert [refused.commands(machine) for machine in data] == [[], [], []]
    down = {**data, "@fake/squash": {**data["@fake/squash"], "nanoclaw_newer_database": "keep"}}
    assert "did not install" not in deploy(tmp_path, down, "finished", "--dry", instead=instead).log


@pytest.mark.parametrize("option", ["-y", "--dry"])
def test_version_1_as_the_ref_ends_the_run_before_any_contact(tmp_path: Path, option: str) -> None:
    data = fleet(**{**KINDS, "squash": {"nanoclaw_ref": "v1.2.53"}})
    refused = deploy(tmp_path, data, "finished", option)
    assert refused.exit != 0 and not any(refused.sent.values())
    assert "@fake/squash: nanoclaw_ref: v1.2.53 is NanoClaw v1, and this role installs v2 only" in refused.log
    assert "set nanoclaw_v1_dir to its directory" in refused.log


def stock_image(machine: dict[str, Any], uid: int | None) -> dict[str, Any]:
    """Return the reply of a cloud's stock image, with the host user if it has a uid."""
    ids = [{"id": 1000, "user": "debian", "group": "debian", "person": "debian"}, *machine["ids"][1:]]
    account = {**machine["account"], "ids": uid and [uid, uid], "uid_user": uid and "nanoclaw", "gid_group": None}
    return {**machine, "ids": ids, "account": account}


@pytest.mark.parametrize("option", ["-y", "--dry"])
def test_cloud_image_gets_a_host_user_with_a_free_uid(tmp_path: Path, option: str) -> None:
    """A person has uid 1000 there. The server exports for the chosen uid, and a dry run says the same."""
    data = fleet(squash=KINDS["squash"])
    machine = stock_image(replies(data, "underway")["@fake/squash"]["machine.preflight"], None)
    runtime = {**replies(data, "finished")["@fake/squash"]["machine.runtime"], "account": asdict(NO_ACCOUNT)}
    instead = {"@fake/squash": {"machine.preflight": machine, "machine.runtime": runtime}}
    done = deploy(tmp_path, data, "underway", option, instead=instead)
    choice = "nanoclaw_uid 850 and nanoclaw_gid 850 for @fake/squash: uid 1000 is debian's on @fake/squash"
    assert done.log.count(choice) == 1, done.log
    if option == "-y":
        assert any("useradd" in line and "--uid 850" in line for line in done.commands("@fake/squash"))
    assert "uid 1000 belongs" not in done.log


def test_host_user_of_an_earlier_run_is_kept(tmp_path: Path) -> None:
    data = fleet(squash=KINDS["squash"])
    machine = stock_image(replies(data, "finished")["@fake/squash"]["machine.preflight"], 850)
    done = deploy(tmp_path, data, "finished", "--dry", instead={"@fake/squash": {"machine.preflight": machine}})
    assert (
        "nanoclaw_uid 850 and nanoclaw_gid 850 for @fake/squash: the existing account nanoclaw has them" in done.log
    ), done.log


def test_new_host_user_with_a_free_uid_needs_its_server_in_the_run(tmp_path: Path) -> None:
    data = fleet(squash=KINDS["squash"])
    machine = stock_image(replies(data, "underway")["@fake/squash"]["machine.preflight"], None)
    instead = {"@fake/squash": {"machine.preflight": machine}}
    done = deploy(tmp_path, data, "underway", "-y", "--limit", "@fake/squash", instead=instead)
    assert done.exit != 0
    assert "@fake/squash: nanoclaw_uid: its user gets uid 850 here" in done.log
    assert done.commands("@fake/squash") == []


def test_server_alone_does_not_end_the_squash_of_a_root_host(tmp_path: Path) -> None:
    exports = replies(DATA, "finished")["@fake/server"]["nfs.exports"]
    (mine,) = (entry for entry in exports["table"] if entry[0].endswith("/chown"))
    mine[2:] = [*EXPORT_OPTIONS, "root_squash", "all_squash", "anonuid=1000"]
    instead = {"@fake/server": {"nfs.exports": exports}}
    alone = deploy(tmp_path, DATA, "finished", "-y", "--limit", "@fake/server", instead=instead)
    assert alone.exit != 0 and "add this host to the run (--limit @fake/chown)" in alone.log
    assert alone.commands("@fake/server") == []
    both = deploy(
        tmp_path, DATA, "finished", "--dry", "--limit", "@fake/server", "--limit", "@fake/chown", instead=instead
    )
    assert both.exit == 0, both.log


def test_host_stops_before_its_server_maps_its_ids_in_another_way(tmp_path: Path) -> None:
    """Otherwise what it has open and not yet written would be refused by the server, and lost."""
    machines = replies(DATA, "finished")
    exports, service = machines["@fake/server"]["nfs.exports"], machines["@fake/chown"]["service.state"]
    (mine,) = (entry for entry in exports["table"] if entry[0].endswith("/chown"))
    squashed = {**exports, "table": [entry for entry in exports["table"] if entry is not mine]}
    squashed["table"].append([*mine[:2], *EXPORT_OPTIONS, "root_squash", "all_squash", "anonuid=1000"])
    instead = {"@fake/server": {"nfs.exports": squashed}}
    stop, start = (
        "NanoClaw service | Stop NanoClaw before its server changes",
        "NanoClaw service | Run NanoClaw as a service",
    )
    dry = deploy(tmp_path, DATA, "finished", "--dry", instead=instead)
    assert dry.changed("@fake/chown") == [stop, start] and dry.changed("@fake/squash") == [], dry.log

    stopped = {**service, "unit": {**service["unit"], "active": "inactive", "sub": "dead"}}
    then = {"@fake/server": {"nfs.exports": exports}, "@fake/chown": {"service.state": stopped}}
    run = deploy(tmp_path, DATA, "finished", "-y", instead=instead, then=then)
    assert run.changed("@fake/chown")[0] == stop and run.changed("@fake/squash") == [], run.log
    assert run.commands("@fake/chown")[0].startswith("systemctl stop nanoclaw-v2-")
    started = re.findall(r"Starting operation: (.*?) *$", run.log, re.MULTILINE)
    assert started.index(stop) < started.index("NFS server | Export the pods") < started.index(start)


def _server(**more: Any) -> dict[str, Any]:
    return {"@fake/server": {"nfs.exports": {**replies(DATA, "finished")["@fake/server"]["nfs.exports"], **more}}}


REFUSED_SERVERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "an export that goes is mounted": (
        {"nfs_remove_exports": ["/srv/pods/gone"]},
        {},
        {"dropin": "# gone\n/srv/pods/gone 10.0.9.9(rw)\n", "clients": ["10.0.9.9"]},
        "@fake/server: exports: /srv/pods/gone stays exported to 10.0.9.9: 10.0.9.9 may have it mounted",
    ),
    "another inventory has the directory": (
        {},
        {},
        {"dropin": "# theirs\n/srv/pods/squash 10.0.9.9(rw)\n"},
        "@fake/server: exports: /srv/pods/squash of @fake/squash is also exported as /srv/pods/squash to 10.0.9.9",
    ),
    "a restart that others would feel": (
        {"nfs_v3": False},
        {},
        {"clients": ["10.0.7.7"], "versions": ["+3", "+4"]},
        "@fake/server: nfs_v3: NFSv3 off needs a restart of nfs-server.service, which others use: 10.0.7.7.",
    ),
    "a file that wins": (
        {"nfs_v3": False},
        {},
        {"v3_files": [["/etc/nfs.conf.d/nanoclaw-pods.conf", False], ["/etc/nfs.conf.d/zz.conf", True]]},
        "@fake/server: nfs_v3: /etc/nfs.conf.d/zz.conf overrides nfs_v3",
    ),
    "a host with NFSv3, and a server without": (
        {},
        {"pods_nfs_version": "3"},
        {"versions": ["-3", "+4"]},
        "@fake/squash: pods_nfs_version: @fake/server serves NFSv4 only; set nfs_v3 to True there",
    ),
}


@pytest.mark.parametrize("case", REFUSED_SERVERS)
def test_refused_server_ends_the_run_before_any_change(tmp_path: Path, case: str) -> None:
    server, host, observed, refusal = REFUSED_SERVERS[case]
    data = {
        **DATA,
        "@fake/server": {**DATA["@fake/server"], **server},
        "@fake/squash": {**DATA["@fake/squash"], **host},
    }
    refused = deploy(tmp_path, data, "underway", "-y", instead=_server(**observed))
    assert refused.exit != 0 and refusal in refused.log
    assert [refused.commands(machine) for machine in MACHINES] == [[]] * len(MACHINES)


def test_plan_lists_other_clients_of_the_server(tmp_path: Path) -> None:
    table = [*replies(DATA, "finished")["@fake/server"]["nfs.exports"]["table"], ["/home", "10.0.0.0/24", "rw"]]
    run = deploy(tmp_path, DATA, "finished", "--dry", instead=_server(clients=["10.0.1.1", "10.0.7.7"], table=table))
    assert run.exit == 0, run.log
    assert "    @fake/server: others use this NFS server: 10.0.7.7, 10.0.0.0/24:/home\n" in run.log
    alone = deploy(tmp_path, DATA, "finished", "--dry")
    assert "others use" not in alone.log


def test_change_without_effect_fails_its_machine_alone(tmp_path: Path) -> None:
    """Something else undoes it: without a failure each run would repeat the change and report success."""
    stopped = {**replies(DATA, "finished")["@fake/chown"]["guard.state"], "active": False, "running": []}
    run = deploy(tmp_path, DATA, "finished", "-y", instead={"@fake/chown": {"guard.state": stopped}})
    assert run.exit != 0 and set(run.document["results"]["failed_hosts"]) == {"@fake/chown"}
    assert "The change has no effect: something else on the machine overrules it or undoes it." in run.log
    assert run.log.count("verified |") == len(KINDS) - 1


def test_machines_with_malformed_replies_fail_alone(tmp_path: Path) -> None:
    nonsense = {"@fake/native": "nfs.mounts", "@fake/own": "source.checkout", "@fake/chown": "service.state"}
    instead = {name: {fact: "what?"} for name, fact in nonsense.items()}
    broken = deploy(tmp_path, DATA, "finished", "-y", instead=instead)
    assert broken.exit != 0
    assert set(broken.document["results"]["failed_hosts"]) == set(nonsense)
    assert broken.log.count("verified |") == len(KINDS) - len(nonsense)
    assert [broken.commands(machine) for machine in MACHINES] == [[]] * len(MACHINES)


def test_cost_of_runs_is_counted(tmp_path: Path) -> None:
    counted = costs(tmp_path, fleet(squash=KINDS["squash"]))
    host = {run: asdict(machines["@fake/squash"]) for run, machines in counted.items()}
    assert host["second"]["changes"] == host["dry"]["changes"] == 0
    assert host["second"]["commands"] == host["dry"]["commands"] == 0
    assert host["first"]["commands"] > 20 and host["first"]["changes"] > 5
    assert host["dry"]["facts"] <= host["second"]["facts"]
