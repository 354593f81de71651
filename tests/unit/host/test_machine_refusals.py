"""What a machine is refused for, to the letter: an operator acts on nothing but these sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.machine.machine_state import MachineState, MountPoint, Place, Places
from tasks.model.access.identity import Ids
from tasks.model.fleet.plan import Problem
from tasks.model.host.account import account_problem
from tasks.model.host.host_ids import unserved
from tasks.model.host.machine_refusals import agent_uid_problems, guard_left_out_problems, machine_problems
from tests.builders import fleet, one_host
from tests.fake.bare_host import NO_ACCOUNT, machine
from tests.reasons import OF_MACHINES, reason_sites

OSLO = machine("oslo", NO_ACCOUNT)
HARD_LINKS = (
    "fs.protected_hardlinks is {} and must be 1: else a user can link another's file into a tree, and root would "
    "chown it to the tree's owner. Set it now and for each boot: echo fs.protected_hardlinks=1 "
    ">/etc/sysctl.d/60-nanoclaw-pods.conf && sysctl --system"
)


Refusals = list[tuple[str, str, str]]
"""Key, reason and text."""


def refused(state: MachineState | None, **data: Any) -> Refusals:
    return parts(machine_problems(one_host(**data), {"oslo": state}))


def parts(problems: Iterable[Problem]) -> Refusals:
    return [(problem.key, problem.reason, problem.text) for problem in problems]


@pytest.mark.parametrize(
    ("differs", "reason", "text"),
    [
        ({"uid": 0}, None, None),
        (
            {"uid": 1},
            "not-root",
            "commands run as uid 1 and need root: set _sudo = True for this machine, or ssh_user to root",
        ),
        ({"python": (3, 9)}, None, None),
        ({"python": (3, 8)}, "python-too-old", "python3 is 3.8; 3.9 or newer is needed"),
        ({"python": (4, 0)}, None, None),
        ({"systemd": False}, "no-systemd", "systemd is not its init"),
        ({"protected_hardlinks": 1}, None, None),
        ({"protected_hardlinks": 0}, "hard-links-unprotected", HARD_LINKS.format(0)),
        ({"protected_hardlinks": None}, "hard-links-unprotected", HARD_LINKS.format("unknown")),
        ({"distribution": "ubuntu", "version": "22.04"}, None, None),
        (
            {"distribution": "ubuntu", "version": "22.03"},
            "system-not-supported",
            "is ubuntu 22.03; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        ({"distribution": "debian", "version": "12"}, None, None),
        (
            {"distribution": "debian", "version": "11"},
            "system-not-supported",
            "is debian 11; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        (
            {"distribution": "fedora", "version": ""},
            "system-not-supported",
            "is fedora; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        (
            {"distribution": "", "version": "7"},
            "system-not-supported",
            "is an unknown system 7; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        ({"free": {"/opt/nanoclaw": 1 << 30, "/pods": None}}, None, None),
        (
            {"free": {"/opt/nanoclaw": (1 << 30) - 1}},
            "too-little-space",
            "has 1023 MiB free for /opt/nanoclaw; 1024 MiB are needed: free some space",
        ),
        ({"free": {"/srv": 0}}, "too-little-space", "has 0 MiB free for /srv; 1024 MiB are needed: free some space"),
    ],
)
def test_a_machine_that_cannot_be_a_host_is_refused_with_the_reason(
    differs: dict[str, Any], reason: str, text: str | None
) -> None:
    assert refused(replace(OSLO, **differs)) == ([("machine", reason, text)] if text else [])


def test_all_problems_of_a_machine_are_reported_at_once() -> None:
    state = replace(OSLO, uid=7, python=(3, 6), systemd=False, distribution="x", free={"/a": 1, "/b": 2})
    assert len(refused(state)) == 6


def test_a_machine_that_does_not_answer_is_refused_with_the_ways_out() -> None:
    text = "did not answer, or has no python3: install it (apt-get install python3), or leave the machine out"
    assert refused(None) == [("machine", "no-reply", f"{text} with --exclude oslo")]


def test_hard_links_count_on_every_machine_on_which_root_chowns_trees() -> None:
    """The host walks its own trees, the server those of its exports."""
    open_to_all = {name: replace(machine(name, NO_ACCOUNT), protected_hardlinks=0) for name in ("oslo", "nfs1")}
    problems = machine_problems(one_host(), open_to_all)
    assert {problem.machine for problem in problems if problem.reason == "hard-links-unprotected"} == {"oslo", "nfs1"}


def test_a_machine_that_is_no_host_is_judged_as_a_system_alone() -> None:
    problems = machine_problems(one_host(), {"nfs1": replace(machine("nfs1"), systemd=False)})
    assert [(problem.machine, problem.key, problem.reason) for problem in problems] == [
        ("nfs1", "machine", "no-systemd")
    ]


HIDDEN = "which a mount would hide: copy them to the server if they are NanoClaw's, then move them away "
HIDDEN += '(docs/rollout.md, "Adopt")'


@pytest.mark.parametrize(
    ("beneath", "named"),
    [
        ({"/pods": []}, []),
        ({"/pods": None}, []),
        ({"/pods": ["a", "b"]}, ["/pods is not mounted and holds a, b"]),
        (
            {"/opt/nanoclaw/groups": ["main"], "/pods": ["a"]},
            ["/pods is not mounted and holds a", "/opt/nanoclaw/groups is not mounted and holds main"],
        ),
        ({"/opt/nanoclaw/data/v2-sessions": ["s"]}, ["/opt/nanoclaw/data/v2-sessions is not mounted and holds s"]),
        ({"/elsewhere": ["a"]}, []),
    ],
)
def test_what_a_mount_would_hide_is_named(beneath: dict[str, list[str] | None], named: list[str]) -> None:
    problems = sorted(refused(replace(OSLO, beneath=beneath)))
    assert problems == sorted(("pods_path", "mount-would-hide", f"{text}, {HIDDEN}") for text in named)
    assert refused(replace(OSLO, beneath=beneath), pods_server="local") == []


def test_another_mount_in_the_place_of_the_pods_is_named_with_the_ways_out() -> None:
    older = MountPoint("/pods", "nfs4", "10.0.0.1:/srv/pods/oslo", ["10.0.0.1"])
    assert refused(replace(OSLO, mounts=[replace(older, type="nfs")])) == [], "NFSv3"
    disk, other = MountPoint("/pods", "ext4", "/dev/vdb", []), MountPoint("/srv", "ext4", "/dev/vdc", [])
    text = "/dev/vdb (ext4) is mounted there, not 10.0.0.1:/srv/pods/oslo: unmount it, or set pods_server and "
    text += "pods_export to it, or pods_path to another directory"
    assert refused(replace(OSLO, mounts=[older, disk, other])) == [("pods_path", "other-mount", text)]
    assert refused(replace(OSLO, mounts=[disk, older, other])) == [], "the last one counts, which covers the others"
    assert refused(replace(OSLO, mounts=[disk]), pods_server="local") == []


def test_hosts_of_one_server_need_names_of_their_own() -> None:
    states = {name: machine(name, NO_ACCOUNT) for name in ("oslo", "bergen", "moss")}
    alike = {name: replace(state, hostname="node") for name, state in states.items() if name != "moss"}
    plan = fleet(oslo={}, bergen={}, moss={})
    assert machine_problems(plan, states) == []
    problems = {
        problem.machine: (problem.key, problem.reason, problem.text)
        for problem in machine_problems(plan, {**states, **alike})
    }
    text = "NFSv4.1 clients of one name take each other's locks; give each its own (hostnamectl set-hostname)"
    assert problems == {
        "oslo": ("hostname", "hostname-twice", f"has the host name node like bergen: {text}"),
        "bergen": ("hostname", "hostname-twice", f"has the host name node like oslo: {text}"),
    }
    local = {"pods_server": "local"}
    assert machine_problems(fleet(oslo=local, bergen=local), alike) == []


ETAB: Sequence[str] = ("/srv/pods/oslo", "10.0.0.2", "rw", "no_root_squash")


@pytest.mark.parametrize(
    ("entry", "refused_"),
    [
        ([*ETAB, "all_squash"], True),
        (list(ETAB), False),
        (["/srv/pods/oslo", "10.0.0.2", "rw"], True),
        (["/srv/pods/oslo", "10.0.0.9", "rw"], False),
        (["/srv/pods/moss", "10.0.0.2", "rw"], False),
    ],
)
def test_a_server_that_stops_squashing_names_the_host_that_must_come_along(entry: list[str], refused_: bool) -> None:
    plan = one_host(pods_access="chown", nanoclaw_user="root")
    text = "this run would make nfs1 stop squashing this host's sessions, and the guard must run here before that: "
    text += "add this host to the run (--limit oslo), or leave nfs1 out"
    problems = list(guard_left_out_problems(plan, plan.servers["nfs1"], [entry], {"nfs1"}))
    assert parts(problems) == ([("pods_access", "guard-left-out", text)] if refused_ else [])
    assert {problem.machine for problem in problems} <= {"oslo"}


def test_a_person_who_would_be_the_host_process_or_the_agent_is_named() -> None:
    hers = replace(NO_ACCOUNT, ids=(1000, 1000), uid_user="ada", person=True)
    host = "somebody can log in to ada on this machine, and would be the host process: set nanoclaw_user to a name "
    host += "that nobody has, or nanoclaw_agent_account to ada if that is right"
    (problem,) = agent_uid_problems(one_host(nanoclaw_user="ada"), {"oslo": replace(OSLO, account=hers), "moss": OSLO})
    assert (problem.machine, *parts([problem])[0]) == ("oslo", "nanoclaw_user", "host-user-is-person", host)
    agent = "the agent's uid 1000 is ada's on this machine, who can log in and could read and write every session: "
    agent += "give that account another uid, or set nanoclaw_agent_account to ada if that is right"
    (problem,) = agent_uid_problems(one_host(), {"oslo": replace(OSLO, person="ada"), "nfs1": None})
    assert (problem.machine, *parts([problem])[0]) == ("oslo", "nanoclaw_agent_account", "agent-is-person", agent)


@pytest.mark.parametrize(
    ("differs", "reason", "text"),
    [
        ({"ids": (1000, 1000)}, None, None),
        (
            {"ids": (1000, 100)},
            "user-has-other-ids",
            "user nanoclaw is 1000:100 on this machine, not 1000:1000: set nanoclaw_uid to 1000 and "
            "nanoclaw_gid to 100, or nanoclaw_user to another name",
        ),
        (
            {"uid_user": "debian"},
            "uid-of-other-user",
            "uid 1000 belongs to user debian on this machine, not to nanoclaw: leave nanoclaw_uid out, or set it to a "
            "free number",
        ),
        ({"ids": (1000, 1000), "uid_user": "debian"}, None, None),
        (
            {"name_gid": 999},
            "group-has-other-gid",
            "group nanoclaw has gid 999 on this machine, not 1000: set nanoclaw_gid to 999, or nanoclaw_user "
            "to another name",
        ),
        ({"name_gid": 999, "gid_group": "debian"}, None, None),
    ],
)
def test_an_account_in_the_way_is_named_with_the_ways_out(
    differs: dict[str, Any], reason: str, text: str | None
) -> None:
    plan = one_host().hosts["oslo"]
    account = replace(NO_ACCOUNT, **differs)
    problem = account_problem(account, plan)
    assert (problem and tuple(problem)) == (("nanoclaw_user", reason, text) if text else None)
    problems = refused(replace(OSLO, account=account))
    assert problems == ([("nanoclaw_user", reason, text)] if text else [])
    assert refused(replace(OSLO, account=None)) == []


IN_SYSTEM = Places({"/opt/nanoclaw": Place("/usr/share/x", None)})
FINANCE = Places({"/data": Place("/data", ["groups"]), "/data/groups": Place("/data/groups", ["finance"])})
THEIRS = {"pods_server": "192.0.2.7", "pods_export": "/export/a"}


@pytest.mark.parametrize(
    ("differs", "data", "problem"),
    [
        (
            {"places": IN_SYSTEM},
            {},
            (
                "nanoclaw_root",
                "link-to-system",
                "/opt/nanoclaw is really /usr/share/x, which belongs to the system or to others; use another directory",
            ),
        ),
        (
            {"places": FINANCE},
            {"pods_server": "local", "pods_path": "/data"},
            (
                "pods_path",
                "directory-of-others",
                "/data/groups would become the agent's, but it holds finance and no earlier run made it: use another "
                "directory, or add /data/groups to pods_adopt to allow that",
            ),
        ),
        (
            {"barred": {"/home/andy/claw": "/home/andy"}},
            {"nanoclaw_root": "/home/andy/claw"},
            (
                "nanoclaw_root",
                "path-barred",
                "nanoclaw cannot enter /home/andy, and NanoClaw needs what lies below it: let that user in (chmod o+x "
                "/home/andy), or set nanoclaw_root to another directory",
            ),
        ),
        (
            {"addresses": ["192.0.2.7"]},
            THEIRS,
            (
                "pods_server",
                "address-of-host",
                '192.0.2.7 is this machine\'s own address; name the NFS server, or "local" for a local disk',
            ),
        ),
    ],
)
def test_what_is_in_the_way_on_a_machine_is_named(
    differs: dict[str, Any], data: dict[str, Any], problem: tuple[str, str, str]
) -> None:
    assert refused(replace(OSLO, **differs), **data) == [problem]


def test_machines_in_the_way_of_one_another_are_named() -> None:
    twice = {name: replace(machine(name, NO_ACCOUNT), identity="boot 1", hostname=name) for name in ("nfs1", "oslo")}
    text = "is the same machine as nfs1: one machine has one name and one role; keep one of them"
    assert parts(machine_problems(one_host(), twice))[1] == ("machine", "one-machine-twice", text)
    states = {"nfs1": replace(machine("n"), addresses=["192.0.2.7"]), "oslo": machine("o", NO_ACCOUNT)}
    text = "192.0.2.7 is an address of nfs1; set it to nfs1"
    assert parts(machine_problems(fleet(oslo=THEIRS), states)) == [("pods_server", "address-of-server", text)]


def test_a_server_that_a_new_host_needs_in_the_run_is_named() -> None:
    text = "its user gets uid 850 here, and nfs1 must export for that uid: add it to the run (--limit nfs1), or set "
    text += "nanoclaw_uid"
    plan = fleet({"oslo": Ids(850, 850)}, oslo={})
    assert parts(unserved(plan, {"oslo": OSLO})) == [("nanoclaw_uid", "server-left-out", text)]


def test_each_reason_has_its_text_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [reason for reason in reason_sites(OF_MACHINES) if f'"{reason}"' not in source] == []
