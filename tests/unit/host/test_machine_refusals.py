"""What a machine is refused for, to the letter: an operator acts on nothing but these sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tasks.model.host.account import account_problem
from tasks.model.host.machine import MachineState, MountPoint
from tasks.model.host.preflight import agent_uid_problems, machine_problems, unguarded
from tests.builders import fleet, one_host
from tests.fake.bare_host import NO_ACCOUNT, machine

OSLO = machine("oslo", NO_ACCOUNT)
HARD_LINKS = (
    "fs.protected_hardlinks is {} and must be 1: else a user can link another's file into a tree, and root would "
    "chown it to the tree's owner. Set it now and for each boot: echo fs.protected_hardlinks=1 "
    ">/etc/sysctl.d/60-nanoclaw-pods.conf && sysctl --system"
)


def refused(state: MachineState | None, **data: Any) -> list[tuple[str, str]]:
    return [(problem.key, problem.text) for problem in machine_problems(one_host(**data), {"oslo": state})]


@pytest.mark.parametrize(
    ("differs", "text"),
    [
        ({"uid": 0}, None),
        ({"uid": 1}, "commands run as uid 1 and need root: set _sudo = True for this machine, or ssh_user to root"),
        ({"python": (3, 9)}, None),
        ({"python": (3, 8)}, "python3 is 3.8; 3.9 or newer is needed"),
        ({"python": (4, 0)}, None),
        ({"systemd": False}, "systemd is not its init"),
        ({"protected_hardlinks": 1}, None),
        ({"protected_hardlinks": 0}, HARD_LINKS.format(0)),
        ({"protected_hardlinks": None}, HARD_LINKS.format("unknown")),
        ({"distribution": "ubuntu", "version": "22.04"}, None),
        (
            {"distribution": "ubuntu", "version": "22.03"},
            "is ubuntu 22.03; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        ({"distribution": "debian", "version": "12"}, None),
        (
            {"distribution": "debian", "version": "11"},
            "is debian 11; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        (
            {"distribution": "fedora", "version": ""},
            "is fedora; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        (
            {"distribution": "", "version": "7"},
            "is an unknown system 7; Debian 12 and Ubuntu 22.04 or newer are supported",
        ),
        ({"free": {"/opt/nanoclaw": 1 << 30, "/pods": None}}, None),
        (
            {"free": {"/opt/nanoclaw": (1 << 30) - 1}},
            "has 1023 MiB free for /opt/nanoclaw; 1024 MiB are needed: free some space",
        ),
        ({"free": {"/srv": 0}}, "has 0 MiB free for /srv; 1024 MiB are needed: free some space"),
    ],
)
def test_a_machine_that_cannot_be_a_host_is_refused_with_the_reason(differs: dict[str, Any], text: str | None) -> None:
    assert refused(replace(OSLO, **differs)) == ([("machine", text)] if text else [])


def test_all_problems_of_a_machine_are_reported_at_once() -> None:
    state = replace(OSLO, uid=7, python=(3, 6), systemd=False, distribution="x", free={"/a": 1, "/b": 2})
    assert len(refused(state)) == 6


def test_a_machine_that_does_not_answer_is_refused_with_the_ways_out() -> None:
    text = "did not answer, or has no python3: install it (apt-get install python3), or leave the machine out"
    assert refused(None) == [("machine", f"{text} with --exclude oslo")]


def test_hard_links_count_on_every_machine_on_which_root_chowns_trees() -> None:
    """The host walks its own trees, the server those of its exports."""
    open_to_all = {name: replace(machine(name, NO_ACCOUNT), protected_hardlinks=0) for name in ("oslo", "nfs1")}
    problems = machine_problems(one_host(), open_to_all)
    assert {problem.machine for problem in problems if "protected_hardlinks" in problem.text} == {"oslo", "nfs1"}


def test_a_machine_that_is_no_host_is_judged_as_a_system_alone() -> None:
    problems = machine_problems(one_host(), {"nfs1": replace(machine("nfs1"), systemd=False)})
    assert [(problem.machine, problem.key, problem.text) for problem in problems] == [
        ("nfs1", "machine", "systemd is not its init")
    ]


HIDDEN = "which a mount would hide: move them away, and into the mounted directory after the run if they are NanoClaw's"


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
    assert problems == sorted(("pods_path", f"{text}, {HIDDEN}") for text in named)
    assert refused(replace(OSLO, beneath=beneath), pods_server="local") == []


def test_another_mount_in_the_place_of_the_pods_is_named_with_the_ways_out() -> None:
    older = MountPoint("/pods", "nfs4", "10.0.0.1:/srv/pods/oslo", ["10.0.0.1"])
    assert refused(replace(OSLO, mounts=[replace(older, type="nfs")])) == [], "NFSv3"
    disk, other = MountPoint("/pods", "ext4", "/dev/vdb", []), MountPoint("/srv", "ext4", "/dev/vdc", [])
    text = "/dev/vdb (ext4) is mounted there, not 10.0.0.1:/srv/pods/oslo: unmount it, or set pods_server and "
    text += "pods_export to it, or pods_path to another directory"
    assert refused(replace(OSLO, mounts=[older, disk, other])) == [("pods_path", text)]
    assert refused(replace(OSLO, mounts=[disk, older, other])) == [], "the last one counts, which covers the others"
    assert refused(replace(OSLO, mounts=[disk]), pods_server="local") == []


def test_hosts_of_one_server_need_names_of_their_own() -> None:
    states = {name: machine(name, NO_ACCOUNT) for name in ("oslo", "bergen", "moss")}
    alike = {name: replace(state, hostname="node") for name, state in states.items() if name != "moss"}
    plan = fleet(oslo={}, bergen={}, moss={})
    assert machine_problems(plan, states) == []
    problems = {problem.machine: (problem.key, problem.text) for problem in machine_problems(plan, {**states, **alike})}
    text = "NFSv4.1 clients of one name take each other's locks; give each its own (hostnamectl set-hostname)"
    assert problems == {
        "oslo": ("hostname", f"has the host name node like bergen: {text}"),
        "bergen": ("hostname", f"has the host name node like oslo: {text}"),
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
    problems = [(one.machine, one.key, one.text) for one in unguarded(plan, plan.servers["nfs1"], [entry], {"nfs1"})]
    assert problems == ([("oslo", "pods_access", text)] if refused_ else [])


def test_a_person_who_would_be_the_host_process_or_the_agent_is_named() -> None:
    hers = replace(NO_ACCOUNT, ids=(1000, 1000), uid_user="ada", person=True)
    host = "somebody can log in to ada on this machine, and would be the host process: set nanoclaw_user to a name "
    host += "that nobody has, or nanoclaw_agent_account to ada if that is right"
    (problem,) = agent_uid_problems(one_host(nanoclaw_user="ada"), {"oslo": replace(OSLO, account=hers), "moss": OSLO})
    assert (problem.machine, problem.key, problem.text) == ("oslo", "nanoclaw_user", host)
    agent = "the agent's uid 1000 is ada's on this machine, who can log in and could read and write every session: "
    agent += "give that account another uid, or set nanoclaw_agent_account to ada if that is right"
    (problem,) = agent_uid_problems(one_host(), {"oslo": replace(OSLO, person="ada"), "nfs1": None})
    assert (problem.machine, problem.key, problem.text) == ("oslo", "nanoclaw_agent_account", agent)


@pytest.mark.parametrize(
    ("differs", "text"),
    [
        ({"ids": (1000, 1000)}, None),
        (
            {"ids": (1000, 100)},
            "user nanoclaw is 1000:100 on this machine, not 1000:1000: set nanoclaw_uid to 1000 and "
            "nanoclaw_gid to 100, or nanoclaw_user to another name",
        ),
        (
            {"uid_user": "debian"},
            "uid 1000 belongs to user debian on this machine, not to nanoclaw: leave nanoclaw_uid out, or set it to a "
            "free number",
        ),
        ({"ids": (1000, 1000), "uid_user": "debian"}, None),
        (
            {"name_gid": 999},
            "group nanoclaw has gid 999 on this machine, not 1000: set nanoclaw_gid to 999, or nanoclaw_user "
            "to another name",
        ),
        ({"name_gid": 999, "gid_group": "debian"}, None),
    ],
)
def test_an_account_in_the_way_is_named_with_the_ways_out(differs: dict[str, Any], text: str | None) -> None:
    plan = one_host().hosts["oslo"]
    account = replace(NO_ACCOUNT, **differs)
    assert account_problem(account, plan) == text
    problems = refused(replace(OSLO, account=account))
    assert problems == ([("nanoclaw_user", text)] if text else [])
    assert refused(replace(OSLO, account=None)) == []
