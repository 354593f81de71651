"""What a machine is refused for, and how it is looked at."""

from __future__ import annotations

import builtins
import grp
import io
import json
import os
import pwd
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.machine import account
from files.pods.machine.machine_state import IdState, MountPoint
from files.pods.machine.protocol import AccountState
from tasks.bundle import entry_file
from tasks.model.host.machine_refusals import (
    agent_uid_problems,
    guard_left_out_problems,
    guards_first,
    machine_problems,
    stops_first,
)
from tests.builders import one_host
from tests.fake.bare_host import NO_ACCOUNT, machine

FLEET = one_host()
OSLO = machine("oslo", NO_ACCOUNT)


@pytest.mark.parametrize(
    ("mount", "refused"),
    [
        (MountPoint("/pods", "nfs4", "10.0.0.1:/srv/pods/oslo", ["10.0.0.1"]), False),
        (MountPoint("/pods", "nfs4", "nfs1.lan:/srv/pods/oslo", ["10.0.0.1"]), False),
        (MountPoint("/pods", "nfs4", "nfs1.lan:/srv/pods/oslo", ["10.0.0.9"]), True),
        (MountPoint("/pods", "nfs4", "10.0.0.1:/srv/pods/bergen", ["10.0.0.1"]), True),
        (MountPoint("/pods", "ext4", "/dev/vdb", []), True),
    ],
)
def test_another_mount_in_the_place_of_the_pods_is_refused(mount: MountPoint, refused: bool) -> None:
    problems = machine_problems(FLEET, {"oslo": replace(OSLO, mounts=[mount])})
    assert [(problem.key, problem.reason) for problem in problems] == [("pods_path", "other-mount")] * refused


CHOWN = {"pods_access": "chown", "nanoclaw_user": "root"}


@pytest.mark.parametrize(
    ("data", "mounts", "first"),
    [
        (CHOWN, ["/pods", "/opt/nanoclaw/data/v2-sessions", "/opt/nanoclaw/groups"], True),
        (CHOWN, ["/pods", "/opt/nanoclaw/groups"], False),
        (CHOWN, [], False),
        ({**CHOWN, "nanoclaw_root": "/pods/nanoclaw-v2"}, ["/pods"], True),
        (
            {**CHOWN, "nanoclaw_v1_dir": "/v1", "nanoclaw_v1_rollback": True, "nanoclaw_root": "/pods/n"},
            ["/pods"],
            False,
        ),
        ({"nanoclaw_root": "/pods/nanoclaw-v2"}, ["/pods"], False),
    ],
)
def test_the_guard_comes_before_the_server_where_all_it_needs_is_mounted(
    data: dict[str, Any], mounts: list[str], first: bool
) -> None:
    fleet = one_host(**data)
    oslo = replace(OSLO, mounts=[MountPoint(path, "nfs4", "10.0.0.1:/srv/pods/oslo", []) for path in mounts])
    assert guards_first(fleet, {"oslo": oslo, "nfs1": machine("nfs1")}) == ({"oslo"} if first else set())
    assert guards_first(fleet, {"oslo": None}) == set()


ETAB = ["rw", "sync", "wdelay", "hide", "no_subtree_check"]


@pytest.mark.parametrize(
    ("options", "running", "refused"),
    [
        (["root_squash", "all_squash", "anonuid=1000"], {"nfs1"}, True),
        (["no_root_squash", "all_squash", "anonuid=1000"], {"nfs1"}, True),
        (["root_squash", "all_squash", "anonuid=1000"], {"nfs1", "oslo"}, False),
        (["no_root_squash", "no_all_squash"], {"nfs1"}, False),
        (None, {"nfs1"}, False),
    ],
)
def test_a_server_does_not_stop_squashing_for_a_host_that_is_left_out(
    options: list[str] | None, running: set[str], refused: bool
) -> None:
    for data, how_often in ((CHOWN, int(refused)), ({"pods_access": "squash", "nanoclaw_user": "root"}, 0)):
        fleet = one_host(**data)
        table = [["/srv/pods/oslo", "10.0.0.2", *ETAB, *options]] if options else []
        problems = list(guard_left_out_problems(fleet, fleet.servers["nfs1"], table, running))
        assert [(problem.machine, problem.reason) for problem in problems] == [("oslo", "guard-left-out")] * how_often


ROOT_ON_PODS = {"nanoclaw_root": "/pods/nanoclaw-v2", "nanoclaw_user": "root"}
NO_SQUASH = ["no_root_squash", "no_all_squash", "anonuid=65534", "anongid=65534"]
ALL_SQUASH = ["root_squash", "all_squash", "anonuid=1000", "anongid=1000"]


@pytest.mark.parametrize(
    ("data", "options", "first"),
    [
        ({**ROOT_ON_PODS, "pods_access": "squash"}, NO_SQUASH, True),
        ({**ROOT_ON_PODS, "pods_access": "squash"}, ALL_SQUASH, False),
        ({**ROOT_ON_PODS, "pods_access": "squash"}, [*ALL_SQUASH[:2], "anonuid=1001", "anongid=1000"], True),
        ({**ROOT_ON_PODS, "pods_access": "squash"}, [*ALL_SQUASH[:3], "anongid=1001"], True),
        ({**ROOT_ON_PODS, "pods_access": "squash"}, None, False),
        (CHOWN, ALL_SQUASH, True),
        (CHOWN, NO_SQUASH, False),
        (CHOWN, ["root_squash", "no_all_squash"], True),
        (CHOWN, ["root_squash", "no_all_squash", "anonuid=-2", "anongid=-2"], True),
        (CHOWN, ["no_root_squash", "no_all_squash", "anonuid=1000"], False),
        ({"pods_access": "squash"}, NO_SQUASH, True),
        ({"pods_access": "squash"}, ALL_SQUASH, False),
        ({"pods_access": "native"}, ["root_squash", "no_all_squash", "anonuid=1000", "anongid=1000"], False),
        ({"pods_access": "native"}, ALL_SQUASH, True),
        ({**CHOWN, "nanoclaw_v1_dir": "/v1", "nanoclaw_v1_rollback": True}, ALL_SQUASH, False),
    ],
)
def test_a_host_stops_before_its_server_maps_its_ids_in_another_way(
    data: dict[str, Any], options: list[str] | None, first: bool
) -> None:
    fleet = one_host(**data)
    table = [["/srv/pods/oslo", "10.0.0.2", *ETAB, *options]] if options else []
    others = [["/srv/pods/oslo", "10.0.0.3", *NO_SQUASH], ["/srv/pods/bergen", "10.0.0.2", *NO_SQUASH]]
    wider = [["/srv/pods/oslo", "10.0.0.0/24", *NO_SQUASH]] if table else []
    machines = {"oslo": OSLO, "nfs1": machine("nfs1")}
    assert stops_first(fleet, machines, {"nfs1": [*table, *others, *wider]}) == ({"oslo"} if first else set())
    assert stops_first(fleet, {**machines, "oslo": None}, {"nfs1": table}) == set()
    assert stops_first(fleet, {"nfs1": machine("nfs1")}, {"nfs1": table}) == set()
    assert stops_first(fleet, machines, {}) == set(), "its server is not in the run"


@pytest.mark.parametrize("client", ["10.0.0.0/24", "*", "oslo.lan", "@hosts"])
def test_a_host_that_was_served_by_a_wider_export_stops_too(client: str) -> None:
    """NanoClaw of another setup, as in the incident: its network had the export without any squash."""
    fleet = one_host(**ROOT_ON_PODS, pods_access="squash")
    machines = {"oslo": OSLO, "nfs1": machine("nfs1")}
    table = [["/srv/pods/oslo", client, *ETAB, *NO_SQUASH]]
    assert stops_first(fleet, machines, {"nfs1": table}) == {"oslo"}
    assert stops_first(fleet, machines, {"nfs1": [["/srv/pods/oslo", client, *ETAB, *ALL_SQUASH]]}) == set()
    assert stops_first(fleet, machines, {"nfs1": [["/srv/pods/oslo", "10.0.9.0/24", *ETAB, *NO_SQUASH]]}) == set()


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (replace(NO_ACCOUNT, uid_user="somebody"), "uid-of-other-user"),
        (replace(NO_ACCOUNT, name_gid=999), "group-has-other-gid"),
    ],
)
def test_an_account_conflict_is_refused_before_anything_changes(account: AccountState, reason: str) -> None:
    (problem,) = machine_problems(FLEET, {"oslo": replace(OSLO, account=account)})
    assert (problem.machine, problem.key, problem.reason) == ("oslo", "nanoclaw_user", reason)


@pytest.mark.parametrize(
    ("data", "person", "refused"),
    [
        (CHOWN, "ada", True),
        (CHOWN, None, False),
        ({**CHOWN, "nanoclaw_agent_account": "ada"}, "ada", False),
        ({**CHOWN, "nanoclaw_agent_account": "bob"}, "ada", True),
        ({"pods_access": "native"}, "nanoclaw", False),
        ({"pods_access": "squash", "nanoclaw_user": "root"}, "ada", True),
        ({"pods_access": "squash", "nanoclaw_user": "root", "nanoclaw_agent_account": "ada"}, "ada", False),
        ({"pods_access": "squash", "nanoclaw_uid": 1500}, "ada", True),
        ({"pods_access": "native", "nanoclaw_uid": 1500}, "ada", True),
    ],
)
def test_a_person_owns_sessions_only_where_host_data_accept_it(
    data: dict[str, Any], person: str | None, refused: bool
) -> None:
    fleet = one_host(**data)
    machines = {"oslo": replace(OSLO, person=person)}
    assert machine_problems(fleet, machines) == [], "not before it is known what a server squashes"
    problems = agent_uid_problems(fleet, machines)
    codes = [(problem.key, problem.reason) for problem in problems]
    assert codes == [("nanoclaw_agent_account", "agent-is-person")] * refused
    uid = data.get("nanoclaw_uid", 1000)
    assert all(f" {uid} " in problem.text for problem in problems)


@pytest.mark.parametrize("access", ["auto", "squash", "native"])
@pytest.mark.parametrize(("accepted", "refused"), [(None, True), ("bob", True), ("ada", False)])
def test_a_person_is_the_host_process_only_where_host_data_accept_it(
    access: str, accepted: str | None, refused: bool
) -> None:
    data = {
        "nanoclaw_user": "ada",
        "pods_access": access,
        "nanoclaw_agent_account": accepted,
    }
    fleet = one_host(**data)
    hers = replace(NO_ACCOUNT, ids=(1000, 1000), uid_user="ada", person=True)
    problems = agent_uid_problems(fleet, {"oslo": replace(OSLO, person="ada", account=hers)})
    codes = [(problem.key, problem.reason) for problem in problems]
    assert codes == [("nanoclaw_user", "host-user-is-person")] * refused
    nobodys = replace(OSLO, account=replace(hers, person=False))
    assert agent_uid_problems(fleet, {"oslo": nobodys}) == []


def test_no_refusal_of_a_taken_uid_advises_to_run_as_who_has_it() -> None:
    (problem,) = machine_problems(FLEET, {"oslo": replace(OSLO, account=replace(NO_ACCOUNT, uid_user="debian"))})
    assert "set nanoclaw_user" not in problem.text and "free number" in problem.text


@pytest.mark.parametrize(
    ("shell", "password", "key", "expected"),
    [
        ("/bin/bash", "!", "", None),
        ("/bin/bash", "*", "ssh-ed25519 AAAA", "ada"),
        ("/bin/bash", "$y$j9T$a$b", "", "ada"),
        ("/bin/bash", "!$y$j9T$a$b", "\n", None),
        ("/usr/sbin/nologin", "$y$j9T$a$b", "ssh-ed25519 AAAA", None),
    ],
)
def test_who_can_log_in_is_a_person(
    shell: str, password: str, key: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/authorized_keys").write_text(key)
    entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "Ada", str(tmp_path), shell))
    monkeypatch.setattr(pwd, "getpwuid", {1000: entry}.__getitem__)
    shadow = f"root:*:1::::::\nada:{password}:1::::::\n"
    monkeypatch.setattr(
        account, "read_text_or_none", lambda path: shadow if path == "/etc/shadow" else Path(path).read_text()
    )
    monkeypatch.setattr(pwd, "getpwall", lambda: [entry])
    assert account.person(1000) == expected
    assert account.person(1001) is None


PASSWD = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nold:$6$h:1000:1000::/:/bin/sh\n"


@pytest.mark.parametrize(
    ("name", "shell", "passwd_field", "shadow", "getent", "expected"),
    [
        ("ldapuser", "/bin/bash", "*", "root:*:1::::::\n", (2, ""), True),  # sss, ldap, winbind: the password is theirs
        ("ldapuser", "", "x", "root:*:1::::::\n", (2, ""), True),  # no shell is /bin/sh (passwd(5))
        ("ldapuser", "/usr/sbin/nologin", "x", "root:*:1::::::\n", (2, ""), False),
        ("ldapuser", "/bin/false", "x", "root:*:1::::::\n", (2, ""), False),
        ("ada", "/bin/sh", "x", "ada:*:1::::::\n", (0, "ada:$y$x:1::::::\n"), False),
        ("ada", "/bin/sh", "x", "root:*:1::::::\n", (0, "ada:$y$x:1::::::\n"), True),  # shadow of a directory
        ("ada", "/bin/sh", "x", "root:*:1::::::\n", (0, "ada:!:1::::::\n"), False),
        ("ada", "/bin/sh", "x", "root:*:1::::::\n", (2, ""), False),
        ("ada", "/bin/sh", "x", "root:*:1::::::\n", (None, ""), True),  # unknown
        ("ada", "/bin/sh", "x", "root:*:1::::::\n", (0, ""), True),  # unknown
        ("ada", "/bin/sh", "x", "ada::1::::::\n", (0, ""), True),  # no password is needed
        ("old", "/bin/sh", "$6$h", "root:*:1::::::\n", (2, ""), True),  # before there was shadow(5)
        ("old", "/bin/sh", "", "root:*:1::::::\n", (2, ""), True),
    ],
)
def test_a_person_is_who_nss_says(
    name: str,
    shell: str,
    passwd_field: str,
    shadow: str,
    getent: tuple[int | None, str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = pwd.struct_passwd((name, passwd_field, 1000, 1000, "", "/nonexistent", shell))
    other = pwd.struct_passwd(("service", "x", 1000, 1000, "", "/nonexistent", "/usr/sbin/nologin"))
    monkeypatch.setattr(pwd, "getpwuid", {1000: other}.__getitem__)
    monkeypatch.setattr(pwd, "getpwall", lambda: [other, entry])
    monkeypatch.setattr(account, "read_text_or_none", {"/etc/shadow": shadow, "/etc/passwd": PASSWD}.get)
    answers = {"getent": getent}
    monkeypatch.setattr(account, "ran", lambda *argv, **_who: answers.get(argv[0], (1, "")))
    assert account.person(1000) == (name if expected else None)


@pytest.mark.parametrize(
    ("user", "shell", "expected"),
    [
        ("ada", "/bin/bash", True),
        ("ada", "/usr/sbin/nologin", False),
        ("ada", "/bin/false", False),
        ("root", "/bin/bash", False),
        ("nobody-here", "/bin/bash", False),
    ],
)
def test_an_account_is_a_person_or_is_not_and_nothing_between(
    user: str, shell: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an answer in JSON: null would be no answer."""
    entries = {name: pwd.struct_passwd((name, "x", 1, 1, "", "/nonexistent", shell)) for name in ("ada", "root")}
    monkeypatch.setattr(pwd, "getpwnam", entries.__getitem__)
    monkeypatch.setattr(account, "password_of", lambda _entry: "$y$j9T$a$b")
    assert account.is_person(user) is expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ((0, "port 22\nauthorizedkeysfile {keys}/%u .ssh/authorized_keys\n"), True),
        ((0, "authorizedkeysfile {keys}/nobody\n"), False),
        ((0, "authorizedkeysfile none\n"), False),
        ((255, ""), False),
    ],
)
def test_keys_are_searched_where_sshd_reads_them(
    output: tuple[int, str], expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ada").write_text("ssh-ed25519 AAAA\n")
    entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "", "/nonexistent", "/bin/sh"))
    monkeypatch.setattr(shutil, "which", lambda *_argv, **_more: "/usr/sbin/sshd")
    answer = (output[0], output[1].format(keys=tmp_path))
    monkeypatch.setattr(account, "ran", lambda *_argv, **_who: answer)
    monkeypatch.setattr(account, "read_text_or_none", {"/etc/shadow": "ada:!:1::::::\n", "/etc/passwd": PASSWD}.get)
    assert account.can_log_in(entry) == expected


@pytest.mark.parametrize(("status", "expected"), [(0, True), (1, False), (None, True)])
def test_a_home_on_a_server_is_read_by_its_user_in_a_bounded_time(
    status: int | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "", "/home/ada", "/bin/sh"))
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def ran(*argv: str, **who: Any) -> tuple[int | None, str]:
        calls.append((argv, who))
        return status, ""

    monkeypatch.setattr(account, "ran", ran)
    monkeypatch.setattr(account, "may_hang", lambda path, _table: path.startswith("/home"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert account.may_hold_a_key(entry, "/home/ada/.ssh/authorized_keys") == expected
    who = {"user": 1000, "group": 1000, "extra_groups": []}
    assert calls == [(("test", "-s", "/home/ada/.ssh/authorized_keys"), who)]


def test_a_pipe_in_the_place_of_keys_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys")
    entry = pwd.struct_passwd(("ada", "x", 1000, 1000, "", str(tmp_path), "/bin/sh"))
    assert not account.may_hold_a_key(entry, str(tmp_path / "keys"))
    assert account.may_hold_a_key(entry, "/dev/zero")


def test_numbers_are_requested_until_enough_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("debian", "x", 1000, 1000, "", "/nonexistent", "/bin/bash"))
    groups = {1000: grp.struct_group(("debian", "x", 1000, [])), 850: grp.struct_group(("nanoclaw", "x", 850, []))}
    monkeypatch.setattr(pwd, "getpwuid", {1000: entry}.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", groups.__getitem__)
    monkeypatch.setattr(account, "can_log_in", lambda _entry: True)
    states = account.ids_state([1000, 850, 849, 848, 847], "nanoclaw", enough=2)
    assert states == [
        IdState(1000, "debian", "debian", "debian"),
        IdState(850, None, "nanoclaw", None),
        IdState(849, None, None, None),
    ]


def test_a_machine_is_read_without_reading_an_nfs_mount(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = "1 0 8:1 / / rw - ext4 /dev/vda1 rw\n2 1 0:9 / /pods rw - nfs4 nfs1:/srv/pods/oslo rw,addr=10.0.0.1\n"
    paths: list[str] = []
    real_open, real_isdir = builtins.open, os.path.isdir

    def fake_open(path: Any, *argv: Any, **more: Any) -> Any:
        return io.StringIO(table) if path == "/proc/self/mountinfo" else real_open(path, *argv, **more)

    def fake_isdir(path: Any) -> bool:
        paths.append(str(path))
        return real_isdir(path)

    monkeypatch.setattr(builtins, "open", fake_open)
    monkeypatch.setattr(os.path, "isdir", fake_isdir)
    question = {
        "paths": ["/pods"],
        "account": {"user": "root", "uid": 0, "gid": 0},
        "agent": 1000,
        "space": ["/pods/nanoclaw-v2", "/opt/none/such"],
        "places": {"paths": ["/pods", "/pods/nanoclaw-v2"], "marks": {}, "enter": ["/pods/nanoclaw-v2"]},
    }
    monkeypatch.setattr(sys, "argv", ["machine", json.dumps(question)])
    runpy.run_path(str(entry_file("machine.preflight")), run_name="__main__")
    answer = json.loads(capsys.readouterr().out)
    assert not [path for path in paths if path.startswith("/pods")]
    assert answer["free"]["/pods/nanoclaw-v2"] is None and answer["free"]["/opt/none/such"] > 0
    assert answer["beneath"] == {"/pods": None}
    assert answer["places"]["paths"] == {"/pods": None, "/pods/nanoclaw-v2": None} and answer["barred"] == {}
    assert answer["account"]["ids"] == [0, 0] and answer["account"]["home_exists"]
    assert answer["mounts"][0]["addresses"] == ["10.0.0.1"]
    assert answer["protected_hardlinks"] == int(Path("/proc/sys/fs/protected_hardlinks").read_text())


LOCAL, VENDOR = 'ID=debian\nVERSION_ID="13"\n# of = nobody\n', "ID='ubuntu'\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/os-release": LOCAL, "/usr/lib/os-release": VENDOR}, ("debian", "13")),
        ({"/usr/lib/os-release": VENDOR}, ("ubuntu", "")),
        ({}, ("", "")),
    ],
)
def test_a_distribution_is_what_os_release_says(
    files: dict[str, str],
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def read(path: str) -> str | None:
        return files.get(path, "" if path.endswith("os-release") else None)

    monkeypatch.setattr("files.pods.common.read_text.read_text_or_none", read)
    places: dict[str, Any] = {"paths": [], "marks": {}, "enter": []}
    request: dict[str, Any] = {"paths": [], "account": None, "agent": None, "space": [], "places": places}
    monkeypatch.setattr(sys, "argv", ["machine", json.dumps(request)])
    runpy.run_path(str(entry_file("machine.preflight")), run_name="__main__")
    reply = json.loads(capsys.readouterr().out)
    assert (reply["distribution"], reply["version"]) == expected


@pytest.mark.parametrize(
    ("distribution", "version", "refused"),
    [
        ("debian", "13", False),
        ("debian", "12", False),
        ("debian", "11", True),
        ("debian", "", False),  # testing and unstable
        ("debian", "12.5.1", False),
        ("debian", "²", True),
        ("debian", "\uff11\uff13", True),
        ("debian", "1" * 5000, True),
        ("debian", "nan", True),
        ("ubuntu", "22.04", False),
        ("ubuntu", "24.10", False),
        ("ubuntu", "20.10", True),
        ("ubuntu", "22.4", False),
        ("ubuntu", "", True),
        ("", "", True),
    ],
)
def test_a_version_in_any_form_is_judged_and_ends_no_run(distribution: str, version: str, refused: bool) -> None:
    problems = machine_problems(FLEET, {"oslo": replace(OSLO, distribution=distribution, version=version)})
    codes = [(problem.key, problem.reason) for problem in problems]
    assert codes == [("machine", "system-not-supported")] * refused
