"""The rollback of a change of version: code and data go back, and the old version starts whatever else fails."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.source.central_database import make_copy
from files.pods.source.stage_place import stage_of
from files.pods.source.staging_protocol import StageRequest, SwitchToStageRequest
from files.pods.transition.bad_versions import read_bad_versions
from files.pods.transition.documents import BadVersion
from files.pods.transition.protocol import VersionRollbackRequest
from tests.programs import replaced, request_argv
from tests.unit.source.source_host import NEW, OLD, Host
from tests.unit.source.test_merge_rows import NEWER, rows, run
from tests.unit.source.test_merge_rows import OLD as OLD_SCHEMA
from tests.unit.source.test_stage import built


class Switched:
    """A host in the middle of a switch to a version that has migrated the database."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        host.check_out(OLD)
        built(host.root, "old")
        self.before = host.git("rev-parse", "HEAD")
        (host.root / "data").mkdir(exist_ok=True)
        run(host.root / "data/v2.db", OLD_SCHEMA)
        assert host.fetch(NEW).returncode == 0
        self.commit = host.git("rev-parse", f"{NEW}^{{commit}}")
        assert host.run(StageRequest, commit=self.commit).returncode == 0
        built(Path(stage_of(str(host.root))), "new")
        assert host.run(SwitchToStageRequest, commit=self.commit).returncode == 0
        run(host.root / "data/v2.db", NEWER)
        run(host.root / "data/v2.db", "INSERT INTO messaging_groups VALUES ('mg-2', 'tg:2', 'main')")
        for name in ("marker", "trying"):
            (folder / name).touch()
        self.program("systemctl", 'echo "systemctl $@" >> calls')
        self.program("docker", """echo "docker $@" >> calls; [ "$1" != image ] || echo '[{"Id": "sha256:1"}]'""")

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)

    def back(self, **more: str) -> subprocess.CompletedProcess[str]:
        me = pwd.getpwuid(os.getuid())
        values: dict[str, Any] = {"user": me.pw_name, "uid": me.pw_uid, "gid": me.pw_gid, "unit": "n.service"}
        values |= {"install": "x", "root": str(self.host.root), "lock": str(self.host.lock), "version": "2.0.65"}
        values |= {"before": self.before, "commit": self.commit, "image": "agent:latest"}
        values |= {name: str(self.folder / name) for name in ("marker", "trying", "bad")}
        serves = replaced("if not now.answers", "if False and not now.answers")  # there is no NanoClaw that answers
        argv = request_argv(VersionRollbackRequest(**values), serves)
        env = {**os.environ, **more, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=env, check=False)

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    @property
    def is_old(self) -> bool:
        root = self.host.root
        code = (self.host.head, self.host.version, (root / "dist/index.js").read_text())
        return code == (OLD, "2.0.64", "old") and len(rows(root / "data/v2.db", "messaging_groups")[0]) == 2


@pytest.fixture
def switched(host: Host, tmp_path: Path) -> Switched:
    folder = tmp_path / "machine"
    folder.mkdir()
    return Switched(host, folder)


def test_code_and_data_go_back_and_the_old_version_starts(switched: Switched) -> None:
    done = switched.back()
    assert done.returncode == 0, done.stderr
    assert switched.is_old and rows(switched.host.root / "data/v2.db", "messaging_groups")[1] == ("mg-2", "tg:2")
    assert json.loads(done.stdout)["failures"] == 1
    calls = switched.calls
    assert calls.index("systemctl stop n.service") < calls.index("systemctl start n.service")
    assert "docker tag agent:nanoclaw-pods-previous agent:latest" in calls
    assert not [name for name in ("marker", "trying") if (switched.folder / name).exists()]


def test_failures_of_a_commit_are_counted(switched: Switched) -> None:
    assert [json.loads(switched.back().stdout)["failures"] for _ in range(3)] == [1, 2, 3]
    bad = read_bad_versions(str(switched.folder / "bad"))
    assert bad == {switched.commit: BadVersion("2.0.65", 3)} and switched.is_old


def test_at_a_boot_the_start_is_left_to_systemd(switched: Switched) -> None:
    assert switched.back(NANOCLAW_PODS_BOOT="1").returncode == 0
    assert switched.is_old and "systemctl start n.service" not in switched.calls


@pytest.mark.parametrize(
    ("program", "script", "noted"),
    [
        ("docker", "exit 1", "agents may still run"),
        ("systemctl", 'echo "systemctl $@" >> calls; [ "$1" != stop ]', "did not stop and was killed"),
    ],
)
def test_what_fails_on_the_way_is_noted(switched: Switched, program: str, script: str, noted: str) -> None:
    switched.program(program, script)
    done = switched.back()
    assert done.returncode == 0 and noted in done.stdout
    assert switched.is_old and "systemctl start n.service" in switched.calls


def test_database_that_cannot_go_back_is_an_error_and_the_old_version_starts(switched: Switched) -> None:
    (switched.host.root / "data/v2.db.new").mkdir()
    done = switched.back()
    assert done.returncode != 0 and "the database was not put back" in done.stderr
    assert switched.host.head == OLD and "systemctl start n.service" in switched.calls


def test_switch_that_was_not_begun_leaves_all_as_it_is(switched: Switched) -> None:
    assert switched.back().returncode == 0
    make_copy(str(switched.host.root), switched.before, "2.0.64")
    content = (switched.host.root / "data/v2.db").read_bytes()
    assert switched.back().returncode == 0
    assert switched.is_old and (switched.host.root / "data/v2.db").read_bytes() == content
