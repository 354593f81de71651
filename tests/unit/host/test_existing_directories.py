"""Directories that are there already, and one machine under two names: judged from what machines say."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.mountinfo import Mount, mount_table
from files.pods.machine import path_states as path_states
from files.pods.machine.machine_state import Place, Places
from files.pods.machine.path_states import (
    barred_paths,
    machine_addresses,
    machine_identity,
    read_place,
    read_places,
)
from tasks.model.host.existing_directories import server_places_request, server_problems
from tasks.model.host.machine_refusals import machine_problems
from tasks.model.nfs.mount_unit import unit_path
from tests.builders import fleet, one_host
from tests.fake.bare_host import NO_ACCOUNT, machine
from tests.unit.trees.trees import needs_root

EXPORT, ROOT = "/srv/pods/oslo", "/srv/pods/oslo/nanoclaw-v2"
ON_PODS = {"nanoclaw_root": "/pods/nanoclaw-v2"}


def of_server(
    names: list[str] | None, dropin: str | None = None, root: list[str] | None = None, **data: Any
) -> list[str]:
    plans = one_host(**data)
    places = Places({EXPORT: Place(EXPORT, names), ROOT: Place(ROOT, root)})
    return [
        f"{problem.key} {problem.reason}"
        for problem in server_problems(plans.servers["nfs1"], plans.hosts, places, dropin)
    ]


@pytest.mark.parametrize(
    ("names", "root", "data"),
    [
        (None, None, {}),
        ([], None, {}),
        (["lost+found"], None, {}),
        (["groups", "v2-sessions"], None, {}),
        (["nanoclaw-v2"], [".git", "package.json"], ON_PODS),
        (["nanoclaw-v2"], [], ON_PODS),
        ([".pnpm-store", "nanoclaw-v2"], [".git"], ON_PODS),
        (["nanoclaw"], None, {"nanoclaw_v1_dir": "/pods/nanoclaw"}),
        (["accounts.xlsx"], None, {"pods_adopt": [EXPORT]}),
    ],
)
def test_an_export_that_is_empty_ours_or_adopted_is_accepted(
    names: list[str] | None, root: list[str] | None, data: dict[str, Any]
) -> None:
    assert of_server(names, root=root, **data) == []


@pytest.mark.parametrize(
    ("names", "root", "data"),
    [
        (["accounts.xlsx"], None, {}),
        (["groups"], None, {}),
        (["groups", "letters", "v2-sessions"], None, {}),
        (["nanoclaw-v2"], ["letters"], ON_PODS),
        (["letters", "nanoclaw-v2"], [".git"], ON_PODS),
        ([".ssh", "nanoclaw-v2"], [".git"], ON_PODS),
        ([".pnpm-store"], None, {}),
        (["accounts.xlsx"], None, {"pods_adopt": ["/srv/pods"]}),
    ],
)
def test_an_export_that_holds_what_is_somebody_elses_is_refused(
    names: list[str], root: list[str] | None, data: dict[str, Any]
) -> None:
    assert of_server(names, root=root, **data) == ["pods_export directory-of-others"]


def test_an_export_that_is_refused_is_named_with_its_server() -> None:
    plans = one_host()
    places = Places({EXPORT: Place(EXPORT, ["accounts.xlsx"])})
    (problem,) = server_problems(plans.servers["nfs1"], plans.hosts, places, None)
    assert problem.text.startswith(f"nfs1:{EXPORT} would be exported, but it holds accounts.xlsx and ")
    assert f"add {EXPORT} to pods_adopt" in problem.text


def test_an_export_of_an_earlier_run_is_ours_whatever_it_holds() -> None:
    assert of_server(["notes"], f"# oslo\n{EXPORT} 10.0.0.2(rw)\n") == []
    assert len(of_server(["notes"], f"# {EXPORT}\n{EXPORT}2 10.0.0.2(rw)\n")) == 1


def test_an_export_that_is_really_a_directory_of_the_system_is_refused() -> None:
    plans = one_host()
    for real in ("/etc", "/var/lib/docker/volumes", "/home"):
        places = Places({EXPORT: Place(real, [])})
        (problem,) = server_problems(plans.servers["nfs1"], plans.hosts, places, None)
        assert (problem.key, problem.reason) == ("pods_export", "link-to-system")
    beside = Places({EXPORT: Place("/data/pods/oslo", [])})
    assert list(server_problems(plans.servers["nfs1"], plans.hosts, beside, None)) == []


LOCAL = {"pods_server": "local", "pods_path": "/data"}


def of_host(places: Places, barred: dict[str, str] | None = None, /, **data: Any) -> list[tuple[str, str]]:
    state = replace(machine("oslo", NO_ACCOUNT), places=places, barred=barred or {})
    return [(problem.key, problem.reason) for problem in machine_problems(one_host(**data), {"oslo": state})]


def test_local_directories_of_others_are_not_chowned_to_the_agent() -> None:
    names = Places({"/data": Place("/data", ["groups"]), "/data/groups": Place("/data/groups", ["finance"])})
    assert of_host(names, **LOCAL) == [("pods_path", "directory-of-others")]
    assert of_host(names, **LOCAL, pods_adopt=["/data/groups"]) == []
    marked = replace(names, marked=[unit_path("/opt/nanoclaw/groups")])
    assert of_host(marked, **LOCAL) == []
    both = Places({**names.paths, "/data": Place("/data", ["groups", "v2-sessions"])})
    assert of_host(both, **LOCAL) == []
    assert of_host(Places({"/data": None, "/data/groups": None}), **LOCAL) == []


def test_a_way_that_the_host_user_cannot_go_is_refused() -> None:
    problems = of_host(Places(), {"/home/andy/claw": "/home/andy"}, nanoclaw_root="/home/andy/claw")
    assert problems == [("nanoclaw_root", "path-barred")]


def test_a_root_that_is_really_a_directory_of_the_system_is_refused() -> None:
    problems = of_host(Places({"/opt/nanoclaw": Place("/usr/share/x", None)}))
    assert problems == [("nanoclaw_root", "link-to-system")]


def test_one_machine_under_two_names_is_known_by_what_it_says() -> None:
    same = replace(machine("x"), identity="boot 1")
    problems = machine_problems(
        one_host(), {"nfs1": replace(same, hostname="n"), "oslo": replace(same, hostname="o", account=NO_ACCOUNT)}
    )
    assert [(problem.machine, problem.key, problem.reason) for problem in problems] == [
        ("nfs1", "machine", "one-machine-twice"),
        ("oslo", "machine", "one-machine-twice"),
    ]
    others = {"nfs1": replace(same, identity="boot 2", hostname="n"), "oslo": replace(same, account=NO_ACCOUNT)}
    assert machine_problems(one_host(), others) == []


@pytest.mark.parametrize(
    ("server", "holder", "refused"),
    [
        ("192.0.2.7", "oslo", "address-of-host"),
        ("192.0.2.7", "nfs1", "address-of-server"),
        ("192.0.2.8", "nfs1", None),
    ],
)
def test_a_server_is_no_machine_of_the_fleet_by_another_address(server: str, holder: str, refused: str | None) -> None:
    plans = fleet(oslo={"pods_server": server, "pods_export": "/export/a"})
    states = {"nfs1": machine("n"), "oslo": machine("o", NO_ACCOUNT)}
    states[holder] = replace(states[holder], addresses=["192.0.2.7"])
    problems = [(problem.machine, problem.key, problem.reason) for problem in machine_problems(plans, states)]
    assert problems == [("oslo", "pods_server", refused)] * bool(refused)


def test_the_request_for_a_server_has_its_exports_and_their_roots() -> None:
    plans = one_host(**ON_PODS)
    assert server_places_request(plans.servers["nfs1"], plans.hosts).paths == [EXPORT, ROOT]


def test_a_place_is_what_it_really_is(tmp_path: Path) -> None:
    (tmp_path / "real" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "up").symlink_to("../" + tmp_path.name + "/link/a")
    (tmp_path / "loop").symlink_to("loop")
    table = mount_table()
    assert read_place(f"{tmp_path}/link", table) == Place(f"{tmp_path}/real", ["a"])
    assert read_place(f"{tmp_path}/up", table) == Place(f"{tmp_path}/real/a", [])
    assert read_place(f"{tmp_path}/none/such", table) == Place(f"{tmp_path}/none/such", None)
    assert read_place(f"{tmp_path}/loop", table) is None
    for number in range(300):
        (tmp_path / "real" / f"b{number}").touch()
    (tmp_path / "real" / ".git").mkdir()
    many = read_place(f"{tmp_path}/real", table)
    assert many is not None and many.names is not None and len(many.names) == 100
    assert many.names[0] == ".git", "a checkout is known by it, however much lies beside it"


def test_a_place_on_a_network_mount_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()
    (tmp_path / "link").symlink_to("pods")
    table = [*mount_table(), Mount(f"{tmp_path}/pods", "/", "nfs4", "nfs1:/x", [], [])]
    assert read_place(f"{tmp_path}/pods/a", table) is None
    assert read_place(f"{tmp_path}/link", table) is None


def test_a_mark_is_a_text_in_a_file(tmp_path: Path) -> None:
    unit = tmp_path / "x.mount"
    unit.write_text("[Mount]\nWhat=/data/groups\n")
    marks = {str(unit): "What=/data/groups\n", f"{tmp_path}/none": "x"}
    assert read_places([], marks, mount_table()).marked == [str(unit)]
    assert read_places([], {str(unit): "What=/data\n"}, mount_table()).marked == []


@needs_root
def test_a_way_is_tried_as_the_user_who_has_to_go_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed" / "below"
    closed.mkdir(parents=True)
    for place in (*tmp_path.parents, tmp_path):
        if str(place).startswith("/tmp/"):
            place.chmod(0o755)
    (tmp_path / "closed").chmod(0o700)
    paths = [f"{closed}/root", f"{tmp_path}/open/root"]
    arguments = ("nobody-such", 4711, 4711, mount_table())
    assert barred_paths(paths, *arguments) == {f"{closed}/root": f"{tmp_path}/closed"}
    os.chown(tmp_path / "closed", 4711, 4711)
    assert barred_paths(paths, *arguments) == {}


def test_a_machine_is_known_by_its_boot_its_id_and_its_init(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/proc/sys/kernel/random/boot_id": "b-1\n", "/etc/machine-id": "m-1\n"}
    monkeypatch.setattr(path_states, "read_text_or_none", files.get)
    monkeypatch.setattr(os, "readlink", lambda path: "pid:[1]" if path == "/proc/1/ns/pid" else "")
    assert machine_identity() == "b-1 m-1 pid:[1]"
    del files["/proc/sys/kernel/random/boot_id"]
    assert machine_identity() == "", "what cannot be said is not the same as another's silence"


def test_addresses_are_those_of_ip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that others can reach: of links that are up, in the scope `global`."""
    links = [{"addr_info": [{"local": "10.0.0.2"}, {"local": "fd00::2"}]}, {}, {"addr_info": [{"local": "10.0.0.2"}]}]
    check = 'test "$*" = "-json address show up scope global" || exit 1'
    (tmp_path / "ip").write_text(f"#!/bin/sh\n{check}\ncat <<'END'\n{json.dumps(links)}\nEND\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert machine_addresses() == ["10.0.0.2", "fd00::2"]
    (tmp_path / "ip").write_text("#!/bin/sh\necho nothing\n")
    assert machine_addresses() == []
    monkeypatch.setenv("PATH", "/nonexistent")
    assert machine_addresses() == []
