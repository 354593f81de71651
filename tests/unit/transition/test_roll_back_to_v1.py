"""The rollback to v1, with stand-ins for systemd and Docker: v1 comes first."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition.protocol import RollbackRequest
from files.pods.v1.protocol import Service
from tests.programs import replaced, request_argv

V1 = Service("nanoclaw.service")


class Host:
    """A host in the middle of a switch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "etc").mkdir()
        for name in ("etc/marker", "trying", "ran"):
            (folder / name).write_text("")
        self.says("systemctl", 'echo "$@" >> calls; echo ActiveState=active; echo MainPID=7')
        self.says("docker", "exit 0")

    def says(self, program: str, script: str) -> None:
        path = self.folder / program
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)

    def back(self, **more: Any) -> subprocess.CompletedProcess[str]:
        places = {"marker": "etc/marker", "trying": "trying", "ran": "ran"}
        files: dict[str, Any] = {key: str(self.folder / place) for key, place in places.items()}
        request = RollbackRequest(V1, "v2.service", "x", **files, **more)
        argv = request_argv(request, replaced("since > 5", "since > 0.4"))
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env, check=False)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_rollback_stops_v2_and_starts_a_v1_that_ran(host: Host) -> None:
    done = host.back()
    assert done.returncode == 0, done.stderr
    assert host.calls.index("stop v2.service") < host.calls.index("start nanoclaw.service")
    assert not [name for name in ("etc/marker", "trying", "ran") if (host.folder / name).exists()]


def test_v1_that_did_not_run_starts_only_on_request(host: Host) -> None:
    (host.folder / "ran").unlink()
    assert host.back().returncode == 0 and "start nanoclaw.service" not in host.calls
    assert host.back(start=True).returncode == 0 and "start nanoclaw.service" in host.calls


@pytest.mark.parametrize("docker", ["exit 1", '[ "$1" = ps ] && echo abc && exit 0; exit 1'])
def test_failure_of_docker_is_noted_and_v1_starts(host: Host, docker: str) -> None:
    host.says("docker", docker)
    done = host.back()
    assert done.returncode == 0, done.stderr
    assert "agents of v2 may still run" in json.loads(done.stdout)["notes"][0]
    assert "start nanoclaw.service" in host.calls


def test_v2_that_does_not_stop_is_killed(host: Host) -> None:
    host.says("systemctl", 'echo "$@" >> calls; [ "$1" != stop ] || exit 1; echo ActiveState=active; echo MainPID=7')
    assert host.back().returncode == 0
    assert "kill --signal=KILL v2.service" in host.calls and "start nanoclaw.service" in host.calls


def test_v1_that_does_not_start_is_an_error_and_its_file_stays(host: Host) -> None:
    host.says("systemctl", 'echo "$@" >> calls; [ "$1" != start ] || { echo no such unit; exit 5; }')
    done = host.back()
    assert done.returncode != 0 and "no such unit" in done.stderr
    assert (host.folder / "ran").exists()


def test_committed_v2_continues_to_serve_if_v1_does_not_start(host: Host) -> None:
    host.says(
        "systemctl",
        'echo "$@" >> calls; [ "$*" != "start nanoclaw.service" ] || exit 5; echo ActiveState=active; echo MainPID=7',
    )
    done = host.back(start=True, serves=True)
    assert done.returncode != 0 and "v2 continues to serve" in done.stderr
    assert (host.folder / "etc/marker").exists() and "start v2.service" in host.calls[-20:]
    assert (host.folder / "etc/marker").stat().st_mode & 0o777 == 0o644, "systemd and operators read it"


def test_journal_says_rolled_back(host: Host) -> None:
    journal = host.folder / "journal.json"
    journal.write_text(json.dumps({"state": "finished", "steps": []}))
    assert host.back(journal=str(journal)).returncode == 0
    assert json.loads(journal.read_text()) == {"state": "rolled back", "steps": []}
    assert journal.stat().st_mode & 0o777 == 0o600, "outputs of steps may hold secrets"
