"""What a machine says of Docker, git and Node: asked of those who know."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from files.pods.machine import runtime
from files.pods.machine.protocol import Node
from files.pods.source import checkout

CANDIDATES = ["docker.io", "docker-cli", "docker-buildx", "nodejs"]
NAMES: tuple[str, str, list[str]] = ("docker.io", "npm", CANDIDATES)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the whole PATH of the host user, beside the system's shell."""
    monkeypatch.setattr(runtime, "HOST_PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_output_is_what_a_program_prints_in_the_c_locale(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    program(programs, "apt-cache", 'cat; echo "$LC_ALL $PWD $*"; echo why >&2; exit 3')
    assert runtime.output("apt-cache", "policy") == "C.UTF-8 / policy\n"
    assert runtime.output(str(programs / "none")) == ""


@pytest.mark.parametrize(
    ("printed", "major"),
    [("v22.14.0", 22), ("v4.0", 4), ("22.14.0", None), ("v\u0662.1", None), ("v12345.1", None), ("", None)],
)
def test_nodes_major_version_is_what_node_says(printed: str, major: int | None) -> None:
    assert runtime.node("/usr/bin/node", printed) == (Node("/usr/bin/node", major) if major else None)
    assert runtime.node(None, printed) is None


def test_what_apt_would_install_is_what_its_policy_says(programs: Path) -> None:
    policy = "docker.io:\\n  Installed: (none)\\n  Candidate: 26.1.5\\n  Version table:\\n     26.1.5 500\\n"
    policy += "docker-cli:\\n  Installed: (none)\\n  Candidate: (none)\\nnodejs:\\n  Candidate: 20.19.2+dfsg-1\\n"
    check = 'test "$*" = "policy docker.io docker-cli docker-buildx nodejs" || exit 1'
    program(programs, "apt-cache", f"{check}; printf '{policy}'")
    assert runtime.apt_versions(CANDIDATES) == {"docker.io": "26.1.5", "nodejs": "20.19.2+dfsg-1"}


@pytest.mark.parametrize(
    ("shown", "runs"),
    [
        ("LoadState=loaded\\nActiveState=active\\n", True),
        ("LoadState=loaded\\nActiveState=inactive\\n", False),
        ("LoadState=loaded\\nActiveState=failed\\n", False),
        ("LoadState=not-found\\nActiveState=inactive\\n", True),
        ("", True),
    ],
)
def test_docker_runs_unless_its_unit_is_there_and_does_not(shown: str, runs: bool, programs: Path) -> None:
    check = 'test "$*" = "show docker.service --property=LoadState,ActiveState" || exit 1'
    program(programs, "systemctl", f"{check}; printf '{shown}'")
    assert runtime.docker_runs() is runs


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be the host user")
@pytest.mark.parametrize("status", ["installed", "config-files", "not-installed"])
def test_packages_are_there_where_dpkg_says_installed(
    status: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "HOST_PATH", str(programs))
    monkeypatch.setattr(runtime, "BUILDX", (str(programs / "nowhere"),))
    check = 'test "$1 $2" = "--show --showformat=\\${db:Status-Status}" || exit 1'
    program(programs, "dpkg-query", f'{check}; case "$3" in npm|docker.io) printf {status};; esac')
    current = runtime.read_state("root", 0, 0, *NAMES)
    assert (current.npm_package, current.docker_io) == (status == "installed", status == "installed")
    (programs / "nowhere/docker/cli-plugins").mkdir(parents=True)
    (programs / "nowhere/docker/cli-plugins/docker-buildx").touch()
    current = runtime.read_state("root", 0, 0, *NAMES)
    assert (current.buildx, current.docker_io) == (True, False), "nobody asks where nothing follows from it"
    assert (current.node, current.unusable, current.programs["git"]) == (None, [], False)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("echo git version 2.47.3", "2.47.3"),
        ("echo v22.14.0-rc.1 x", "22.14.0-rc.1"),
        ("echo 10.33.0; exit 1", None),
        ("echo none", None),
        ("read line; echo 1.2.3$line", "1.2.3"),
    ],
)
def test_a_version_is_the_first_number_of_a_program_that_ends_well(
    text: str, version: str | None, tmp_path: Path, capfd: Any
) -> None:
    """It reads nothing of the standard input, which is the request's."""
    readable, writable = os.pipe()
    os.write(writable, b"4\n")
    before = os.dup(0)
    os.dup2(readable, 0)
    try:
        assert checkout.version(str(program(tmp_path, "it", text)), "--version") == version
    finally:
        os.dup2(before, 0)
        for fd in (readable, writable, before):
            os.close(fd)
    assert checkout.version(str(tmp_path / "none")) is None
