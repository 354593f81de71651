"""The docker command: its exit status, its output, and its deadline."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from files.pods.common.docker import docker_output, stop_agents
from tasks.bundle import PODS


def test_only_one_module_names_the_docker_command() -> None:
    users = [path for path in PODS.rglob("*.py") if re.search(r"""\[\s*"docker",""", path.read_text())]
    assert users == [PODS / "common/docker.py"]


def program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_docker_output_is_status_and_all_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", 'cat; echo "$*"; echo why >&2; exit 125', monkeypatch)
    assert docker_output(["run", "x"], 20) == (125, "run x\nwhy\n")


def test_late_or_missing_docker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", "exec sleep 60", monkeypatch)
    assert docker_output(["info"], 1) == (None, "docker info: no end within 1 s")
    monkeypatch.setenv("PATH", "/nonexistent")
    status, text = docker_output(["info"], 1)
    assert status == 127 and "docker" in text


# Lists the ids in files "created" and "running". `docker COMMAND` ends the first as an agent ends by itself: it leaves
# the list, docker has no such container any more, and fails for it while it stops the others. "stuck" stay.
DOCKER = """
cd FOLDER || exit 9
echo "$*" >>calls
case "$1 $*" in
"ps "*status=created*) cat created 2>/dev/null ;;
"ps "*) cat running ;;
*) sed -i -n '/stuck/p' created running; echo "Error: No such container: gone" >&2; exit 1 ;;
esac
exit 0
"""


@pytest.mark.parametrize("state", ["created", "running"])
def test_agent_that_ends_by_itself_is_stopped(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", DOCKER.replace("FOLDER", str(tmp_path)), monkeypatch)
    for name in ("created", "running"):
        (tmp_path / name).write_text("gone\tsession\tagent\nother\tsession\tagent\n" if name == state else "")
    stop_agents("install", grace=1, timeout=40)
    ending = {"created": "rm --force gone other", "running": "stop --time=1 gone other"}
    assert ending[state] in (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize("state", ["created", "running"])
def test_agent_that_does_not_stop_is_named(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", DOCKER.replace("FOLDER", str(tmp_path)), monkeypatch)
    for name in ("created", "running"):
        (tmp_path / name).write_text("gone\ts\tagent\nstuck\ts\tagent\n" if name == state else "")
    with pytest.raises(subprocess.SubprocessError, match=r"docker (rm|stop): stuck is left: Error: No such container"):
        stop_agents("install", grace=1, timeout=40)
