"""The drain of a host: its service stops first, its agents once they are idle, and no other container."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition.version_protocol import DrainRequest
from tests.programs import request_argv

LISTED = "agent\tsession-1\tagent\nold\t\t\ngateway\t\tgateway\n"


class Host:
    """A host with one agent of a session, one of an old version, and a gateway."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.session = folder / "session"
        self.session.mkdir()
        with closing(sqlite3.connect(self.session / "outbound.db")) as database:
            database.execute("CREATE TABLE processing_ack (message_id TEXT PRIMARY KEY, status TEXT, status_changed)")
            database.commit()
        (folder / "listed").write_text(LISTED)
        mounts = [{"Type": "bind", "Source": str(self.session)}, {"Type": "volume", "Source": "x"}]
        (folder / "mounts").write_text(json.dumps(mounts))
        self.program("systemctl", '[ $1 != is-active ] || exec cat active; echo "systemctl $@" >> calls')
        (folder / "active").write_text("active\n")
        self.program("docker", 'echo "docker $@" >> calls; case $1 in ps) cat listed;; inspect) cat mounts;; esac')

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)

    def ack(self, status: str) -> None:
        with closing(sqlite3.connect(self.session / "outbound.db")) as database:
            database.execute("INSERT OR REPLACE INTO processing_ack VALUES ('m', ?, 0)", (status,))
            database.commit()

    def drain(self, seconds: int) -> subprocess.CompletedProcess[str]:
        me = pwd.getpwuid(os.getuid())
        ids: dict[str, Any] = {"user": me.pw_name, "uid": me.pw_uid, "gid": me.pw_gid}
        more: dict[str, Any] = {
            "unit": "n.service",
            "install": "x",
            "seconds": seconds,
            "trying": str(self.folder / "run/trying"),
            "ran": str(self.folder / "ran"),
        }
        argv = request_argv(DrainRequest(**ids, **more))
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env, check=False)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize(("state", "ran"), [("active", True), ("inactive", False), ("activating", False)])
def test_rollback_knows_whether_the_service_ran(host: Host, state: str, ran: bool) -> None:
    (host.folder / "active").write_text(f"{state}\n")
    (host.folder / "ran").write_text("of an earlier attempt\n")
    assert host.drain(0).returncode == 0
    assert (host.folder / "ran").exists() == ran


def test_idle_agents_stop_after_the_service(host: Host) -> None:
    host.ack("completed")
    done = host.drain(30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["interrupted"] == []
    assert host.calls[0] == "systemctl stop n.service"
    assert host.calls[-1] == "docker stop --time=10 agent old"
    assert (host.folder / "run/trying").exists()


def test_agent_may_finish_what_it_works_at(host: Host) -> None:
    host.ack("processing")

    def finish() -> None:
        while not (host.folder / "calls").exists() or "docker inspect --format {{json .Mounts}} old" not in host.calls:
            time.sleep(0.1)
        host.ack("completed")

    agent = threading.Thread(target=finish)
    agent.start()
    reply = json.loads(host.drain(60).stdout)
    agent.join()
    assert reply["interrupted"] == [] and 1 <= reply["waited"] < 60


def test_agent_that_does_not_finish_is_stopped_and_named(host: Host) -> None:
    host.ack("processing")
    assert json.loads(host.drain(1).stdout)["interrupted"] == ["agent", "old"]
    assert host.calls[-1] == "docker stop --time=10 agent old"


def test_database_that_is_none_keeps_nobody_waiting(host: Host) -> None:
    (host.session / "outbound.db").write_text("no database")
    assert json.loads(host.drain(60).stdout)["interrupted"] == []


def test_service_that_does_not_stop_ends_the_drain(host: Host) -> None:
    host.program("systemctl", "echo no; exit 1")
    done = host.drain(1)
    assert done.returncode != 0 and "n.service does not stop: no" in done.stderr
    assert not (host.folder / "calls").exists()


def test_docker_that_does_not_answer_ends_the_drain(host: Host) -> None:
    host.program("docker", "exit 1")
    assert host.drain(1).returncode != 0
