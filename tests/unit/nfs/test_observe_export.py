"""The program that looks at an export, run on a local directory: what it makes, follows, and leaves."""

from __future__ import annotations

import errno
import json
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.nfs.protocol import Actor, ObserveRequest, ServerObservation
from tasks.bundle import entry_file
from tasks.facts import fact_of
from tasks.observe_servers import places
from tests.builders import host_plan
from tests.unit.trees.trees import needs_root

A = 1000
Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """The functions of the program, for these arguments."""

    def load(**changes: Any) -> dict[str, Any]:
        places = ["v2-sessions", "data/groups", "."]
        request = ObserveRequest("10.0.0.9", "/vol/pods", "4.2", "tcp", places, (A, A), (A, A), seconds=20)
        monkeypatch.setattr(sys, "argv", ["observe", json.dumps(replace(request, **changes).document())])
        return runpy.run_path(str(entry_file("nfs.observe_export")))

    return load


@pytest.fixture
def export() -> Iterator[Path]:
    """A directory that everybody reaches, and only root may write into, as a fresh export is."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        export = Path(place) / "export"
        export.mkdir()
        yield export


def everything(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@needs_root
def test_owners_are_observed_and_scratch_is_removed(load: Load, export: Path) -> None:
    (export / "v2-sessions").mkdir()
    os.chown(export / "v2-sessions", A, A)
    observed = load()["observe_in"](str(export))
    made: dict[Actor, list[int] | str] = {"host": [A, A], "agent": [A, A], "root": [0, 0]}
    assert observed == ServerObservation("seen", "", made, chown=None, directory_made=True, mount_point=None, left=[])
    assert everything(export) == ["v2-sessions"]


@needs_root
@pytest.mark.parametrize(("writer", "maker"), [(A, "host"), (0, "root")])
def test_root_chowns_what_the_host_made_and_its_own_where_the_host_may_make_nothing(
    load: Load, export: Path, writer: int, maker: str
) -> None:
    (export / "v2-sessions").mkdir()
    os.chown(export / "v2-sessions", writer, writer)
    program = load()
    program["observe_in"].__globals__["chown_scratch"] = lambda _root, scratch: "/".join(scratch)
    assert program["observe_in"](str(export)).chown == f"v2-sessions/{program['NAME']}-{maker}"


@needs_root
def test_who_may_make_nothing_is_named_by_the_errno(load: Load, export: Path) -> None:
    observed = load()["observe_in"](str(export))
    assert observed.made == {"host": "EACCES", "agent": "EACCES", "root": [0, 0]}
    assert everything(export) == []


@needs_root
@pytest.mark.parametrize("planted", ["v2-sessions", "data"])
def test_a_link_of_the_export_is_not_followed(load: Load, export: Path, planted: str) -> None:
    """Not to make anything behind it, not to remove what looks like scratch there."""
    program = load(places=["v2-sessions", "data/groups"])
    elsewhere = export.parent / "elsewhere"
    for directory in (elsewhere, elsewhere / "groups"):
        old = directory / f"{program['PREFIX']}old"
        old.mkdir(parents=True, exist_ok=True)
        os.chown(directory, A, A)
        os.utime(old, (0, 0))
    before = everything(elsewhere)
    (export / planted).symlink_to(elsewhere)
    observed = program["observe_in"](str(export))
    assert all(isinstance(made, str) for made in observed.made.values())
    assert everything(elsewhere) == before


@needs_root
def test_what_a_killed_observation_left_is_removed_and_what_is_beside_it_not(load: Load, export: Path) -> None:
    program = load()
    old, new = export / f"{program['PREFIX']}old", export / f"{program['PREFIX']}new"
    (old / "agent").mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))
    program["observe_in"](str(export))
    assert everything(export) == [new.name]


@needs_root
def test_what_was_made_is_removed_when_an_observation_fails(load: Load, export: Path) -> None:
    program = load()

    def broken(*_args: Any) -> None:
        raise RuntimeError("broken")

    observe_in = program["observe_in"]
    real = observe_in.__globals__["as_ids"]
    calls: list[float] = []

    def as_ids(ids: Any, end: float, work: Any) -> Any:
        calls.append(end)
        return broken() if len(calls) == 4 else real(ids, end, work)

    observe_in.__globals__["as_ids"] = as_ids
    with pytest.raises(RuntimeError):
        observe_in(str(export))
    assert len(calls) > 4 and everything(export) == []


@needs_root
def test_an_observation_without_end_ends(load: Load) -> None:
    as_ids, start = load()["as_ids"], time.monotonic()
    assert as_ids((0, 0), start + 0.3, lambda: time.sleep(10**6)) == "ETIMEDOUT"
    assert as_ids((0, 0), start, lambda: 1) == "ETIMEDOUT"


@needs_root
def test_a_server_that_is_silent_may_keep_what_was_made(load: Load) -> None:
    program = load(seconds=1)
    program["observe"].__globals__["observe_mounted"] = lambda: time.sleep(30)
    reply = program["observe"]()
    assert (reply.state, reply.left) == ("ETIMEDOUT", [f"{program['NAME']}-*, perhaps"])
    observed = fact_of(ServerObservation)().process([json.dumps(reply.document())])
    assert (observed.made, observed.mount_point, observed.chown, observed.directory_made) == ({}, None, None, False)


@needs_root
def test_an_export_is_observed_by_root_which_alone_may_mount_it(load: Load) -> None:
    rest: dict[str, Any] = {
        "state": "seen",
        "text": "",
        "mount_point": None,
        "chown": None,
        "directory_made": False,
        "left": [],
    }
    program = load()
    program["observe"].__globals__["observe_mounted"] = lambda: {"made": {"root": [os.geteuid(), os.getegid()]}, **rest}
    observed = fact_of(ServerObservation)().process([json.dumps(program["observe"]().document())])
    assert (observed.state, observed.text, observed.made) == ("seen", "", {"root": [0, 0]})


@needs_root
def test_an_observation_that_fails_says_why_and_left_nothing(load: Load) -> None:
    def refused() -> None:
        raise PermissionError(errno.EACCES, "not exported to this host")

    program = load()
    program["observe"].__globals__["observe_mounted"] = refused
    observed = fact_of(ServerObservation)().process([json.dumps(program["observe"]().document())])
    assert (observed.state, observed.left, observed.made) == ("EACCES", [], {})
    assert "not exported to this host" in observed.text


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "vers=4.2,addr=10.0.0.9,proto=tcp,soft,timeo=50,retrans=1,nosharecache,clientaddr=0.0.0.0"),
        (
            {"address": "fd00::9", "transport": "tcp6"},
            "vers=4.2,addr=fd00::9,proto=tcp6,soft,timeo=50,retrans=1,nosharecache,clientaddr=::",
        ),
        (
            {"address": "fd00::9", "transport": "tcp6", "version": "3"},
            "vers=3,addr=fd00::9,proto=tcp6,soft,timeo=50,retrans=1,nosharecache,mountaddr=fd00::9,mountproto=tcp6,nolock",
        ),
    ],
)
def test_a_server_is_mounted_by_its_kind_of_address(load: Load, more: dict[str, str], expected: str) -> None:
    """Softly, and with no cache that another mount of this machine has filled (nfs(5))."""
    assert ",".join(load(**more)["mount_options"]()) == expected


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("/opt/nanoclaw", ["v2-sessions", "groups", "."]),
        ("/pods/one", ["one/data/v2-sessions", "one/groups", "."]),
    ],
)
def test_it_observes_where_sessions_and_groups_are(root: str, expected: list[str]) -> None:
    plan = host_plan(
        pods_server="10.0.0.9",
        pods_export="/vol/pods",
        nanoclaw_root=root,
        pods_export_options=["all_squash", "anonuid=1000", "anongid=1000"],
    )
    assert places(plan) == expected
