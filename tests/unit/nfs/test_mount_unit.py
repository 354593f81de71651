"""Names and texts of mount units."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.fleet.plan import Source
from tasks.model.nfs.mount_unit import bind_unit, docker_dropin, mount_options, pods_unit, unit_path
from tasks.model.systemd_names import UNIT_NAME_MAX, unit_name

PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), min_size=1).map("/{}".format)


def unescaped(name: str) -> str:
    """The inverse, as systemd-escape --unescape --path has it."""
    text = name.removesuffix(".mount")
    if text == "-":
        return "/"
    raw = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.replace("-", "/").encode())
    return "/" + raw.decode()


@given(PATHS)
def test_a_name_says_which_path_it_is_for(path: str) -> None:
    assert unescaped(unit_name(path)) == "/" + "/".join(part for part in path.split("/") if part)


@given(PATHS)
def test_a_name_is_one_that_systemd_takes(path: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9:_.\\-]+\.mount", unit_name(path))
    assert not unit_name(path).startswith(".")


@given(PATHS, PATHS)
def test_different_paths_have_different_names(one: str, other: str) -> None:
    same = [part for part in one.split("/") if part] == [part for part in other.split("/") if part]
    assert (unit_name(one) == unit_name(other)) == same


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/pods", "pods.mount"),
        ("/", "-.mount"),
        ("/opt/nanoclaw/data/v2-sessions", r"opt-nanoclaw-data-v2\x2dsessions.mount"),
        ("/.pods/.x", r"\x2epods-.x.mount"),
        ("/a@b+c", r"a\x40b\x2bc.mount"),
    ],
)
def test_names_as_systemd_escape_prints_them(path: str, name: str) -> None:
    assert unit_name(path) == name
    assert unit_path(path) == f"/etc/systemd/system/{name}"


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="there is no systemd-escape here")
@given(PATHS)
def test_names_are_those_of_systemd_escape(path: str) -> None:
    parts = path.split("/")
    if "." in parts or ".." in parts or len(unit_name(path)) > UNIT_NAME_MAX:
        return
    done = subprocess.run(["systemd-escape", "--path", "--suffix=mount", "--", path], capture_output=True, text=True)
    assert done.stdout.strip() == unit_name(path), done.stderr


def test_the_unit_of_the_pods() -> None:
    source = Source("10.0.0.5", "/srv/pods/a")
    text = pods_unit(source, "/pods", mount_options(source, "4.2", ["lookupcache=positive"]))
    lines = text.splitlines()
    assert "What=10.0.0.5:/srv/pods/a" in lines
    assert "Type=nfs" in lines
    assert "Options=vers=4.2,proto=tcp,hard,nosuid,nodev,_netdev,lookupcache=positive" in lines
    assert "WantedBy=remote-fs.target" in lines
    assert "utomount" not in text
    (limit,) = (line for line in lines if line.startswith("TimeoutSec="))
    assert 0 < int(limit.removeprefix("TimeoutSec=")) <= 120


def test_an_ipv6_server_is_mounted_over_tcp6() -> None:
    source = Source("fd00::5", "/srv")
    assert "What=[fd00::5]:/srv\n" in pods_unit(source, "/pods", ())
    assert "proto=tcp6" in mount_options(source, "4.2", [])


def test_a_percent_sign_is_no_specifier() -> None:
    assert "What=[fe80::1%%eth0]:/srv\n" in pods_unit(Source("fe80::1%eth0", "/srv"), "/pods", ())


def test_a_bind_follows_a_remote_mount_and_stays_out_of_local_fs() -> None:
    remote = bind_unit("/pods/groups", "/opt/n/groups", "/pods", ("nosuid", "nodev"), remote=True)
    assert "BindsTo=pods.mount\nAfter=pods.mount\n" in remote
    assert "RequiresMountsFor=/pods\n" in remote
    assert "Options=bind,nosuid,nodev,_netdev\n" in remote
    assert "local-fs" not in remote


def test_a_bind_of_a_local_directory_belongs_to_local_fs() -> None:
    local = bind_unit("/pods/groups", "/opt/n/groups", "/pods", ("nosuid", "nodev"), remote=False)
    assert "BindsTo" not in local
    assert "_netdev" not in local
    assert "WantedBy=local-fs.target" in local


def test_docker_waits_and_starts_without() -> None:
    assert docker_dropin(["pods.mount"]) == "[Unit]\nWants=pods.mount\nAfter=pods.mount\n"
