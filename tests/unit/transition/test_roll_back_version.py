"""The rollback of a change of version: code and data go back, and the old version starts whatever else fails."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.source.stage_place import stage_of
from files.pods.source.staging_protocol import StageRequest, SwitchToStageRequest
from files.pods.transition.bad_versions import read_bad_versions
from files.pods.transition.version_protocol import VersionRollbackRequest
from tests.programs import Change, replaced, request_argv
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
        self.switch()
        run(host.root / "data/v2.db", "INSERT INTO messaging_groups VALUES ('mg-2', 'tg:2', 'main')")
        for name in ("marker", "trying", "ran"):
            (folder / name).touch()
        self.program("systemctl", 'echo "systemctl $@" >> calls')
        self.program("docker", """echo "docker $@" >> calls; [ "$1" != image ] || echo '[{"Id": "sha256:1"}]'""")

    def switch(self) -> None:
        assert self.host.run(StageRequest, commit=self.commit).returncode == 0
        built(Path(stage_of(str(self.host.root))), "new")
        assert self.host.run(SwitchToStageRequest, commit=self.commit).returncode == 0
        run(self.host.root / "data/v2.db", NEWER)

    @property
    def failures(self) -> int:
        return read_bad_versions(str(self.folder / "bad"))[self.commit].count

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)

    def back(self, change: Change = str, **more: str) -> subprocess.CompletedProcess[str]:
        me = pwd.getpwuid(os.getuid())
        values: dict[str, Any] = {"user": me.pw_name, "uid": me.pw_uid, "gid": me.pw_gid, "unit": "n.service"}
        values |= {"install": "x", "root": str(self.host.root), "lock": str(self.host.lock), "version": "2.0.65"}
        values |= {"before": self.before, "commit": self.commit, "image": "agent:latest"}
        values |= {name: str(self.folder / name) for name in ("marker", "trying", "ran", "bad", "record")}
        serves = replaced('return "" if now.answers else now.why', 'return ""')  # there is no NanoClaw that answers
        argv = request_argv(VersionRollbackRequest(**values), lambda text: change(serves(text)))
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


def test_old_version_that_did_not_run_before_may_fail_to_start(switched: Switched) -> None:
    switched.program("systemctl", 'echo "systemctl $@" >> calls; [ "$1" != start ]')
    failed = switched.back()
    assert failed.returncode != 0 and "n.service does not start" in failed.stderr
    (switched.folder / "ran").unlink()
    done = switched.back()
    assert done.returncode == 0, done.stderr
    assert "it did not run before either: n.service does not start" in done.stdout


def test_failures_of_a_commit_are_counted_by_attempt(switched: Switched) -> None:
    for count in (1, 2, 3):
        assert json.loads(switched.back().stdout)["failures"] == count
        assert switched.back().returncode == 0 and switched.failures == count
        switched.switch()
    assert switched.failures == 3


def test_attempt_that_is_rolled_back_twice_has_failed_once(switched: Switched) -> None:
    (switched.host.root / "data/v2.db.new").mkdir()
    for _ in range(2):
        assert switched.back().returncode == 1 and switched.failures == 1
    (switched.host.root / "data/v2.db.new").rmdir()
    assert switched.back().returncode == 0 and switched.failures == 1 and switched.is_old


def test_at_a_boot_the_start_is_left_to_systemd(switched: Switched) -> None:
    """To stop the unit would cancel its start, which waits for the rollback."""
    (switched.folder / "trying").unlink()
    assert switched.back(NANOCLAW_PODS_BOOT="1").returncode == 0
    assert switched.is_old and not [call for call in switched.calls if call.startswith("systemctl")]
    assert not (switched.folder / "trying").exists()


@pytest.mark.parametrize("crashed", [False, True])
def test_start_of_the_old_version_begins_no_rollback_of_a_boot(switched: Switched, crashed: bool) -> None:
    """The unit of a boot runs with each start of NanoClaw's, but for its condition: this file."""
    if crashed:
        (switched.folder / "trying").unlink()
    switched.program("systemctl", '[ "$1" != start ] || ls trying >> calls')
    assert switched.back().returncode == 0
    assert "trying" in switched.calls and not (switched.folder / "trying").exists()


@pytest.mark.parametrize(
    ("program", "script", "noted"),
    [
        ("docker", '[ "$1" != ps ] || exit 1; [ "$1" != image ]', "agents may still run"),
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
    """Also a database that has other migrations than the copy of an earlier attempt, and the image."""
    assert switched.back().returncode == 0
    run(switched.host.root / "data/v2.db", "INSERT INTO schema_version VALUES (2, 'module-channel')")
    content = (switched.host.root / "data/v2.db").read_bytes()
    (switched.folder / "calls").unlink()
    done = switched.back()
    assert done.returncode == 0 and json.loads(done.stdout) == {"notes": [], "failures": 0}
    assert switched.is_old and (switched.host.root / "data/v2.db").read_bytes() == content
    assert "systemctl start n.service" in switched.calls and not [c for c in switched.calls if "tag" in c]
    assert switched.failures == 1


def test_each_attempt_has_a_copy_of_its_own(switched: Switched) -> None:
    """The version before may have changed its database since the last attempt."""
    assert switched.back().returncode == 0
    run(switched.host.root / "data/v2.db", "INSERT INTO messaging_groups VALUES ('mg-3', 'tg:3')")
    run(switched.host.root / "data/v2.db", "INSERT INTO schema_version VALUES (2, 'module-channel')")
    switched.switch()
    run(switched.host.root / "data/v2.db", "DELETE FROM messaging_groups WHERE id = 'mg-3'")
    assert switched.back().returncode == 0 and switched.is_old
    assert [row[0] for row in rows(switched.host.root / "data/v2.db", "messaging_groups")] == ["mg-1", "mg-2", "mg-3"]
    copies = sorted((switched.host.root / ".git/nanoclaw-pods-database").glob(f"{switched.before[:12]}-*.db"))
    assert len(copies) == 2


def test_rollback_goes_by_the_record_of_the_switch(switched: Switched) -> None:
    """A new run takes the commit that is checked out for the old version."""
    switched.before, old = switched.commit, switched.before
    assert switched.back().returncode == 0
    assert switched.host.git("rev-parse", "HEAD") == old and switched.is_old


def test_lack_of_room_ends_with_the_stage(switched: Switched) -> None:
    """As on a full disk: the database goes back only when the stage is gone."""
    there = Path(stage_of(str(switched.host.root)))
    full = f"if os.path.lexists('{there}/package.json'): raise OSError(28, 'No space left on device')"
    done = switched.back(change=replaced('    new = path + ".new"\n', f'    new = path + ".new"\n    {full}\n'))
    assert done.returncode == 0, done.stderr
    assert switched.is_old and sorted(path.name for path in there.iterdir()) == [".git", "dist", "node_modules"]
    assert switched.back().returncode == 0 and switched.is_old
    switched.switch()
    assert switched.host.head == NEW


def test_old_version_starts_though_its_files_cannot_be_written(switched: Switched) -> None:
    full = replaced("    gone = []\n", "    raise OSError(28, 'No space left on device')\n    gone = []\n")
    done = switched.back(change=full)
    assert done.returncode == 1 and "the code was not put back: [Errno 28]" in done.stderr
    assert (switched.host.root / "dist/index.js").read_text() == "old"
    assert len(rows(switched.host.root / "data/v2.db", "messaging_groups")[0]) == 2
    assert "systemctl start n.service" in switched.calls
    assert switched.back().returncode == 0 and switched.is_old


def test_old_version_starts_though_another_program_has_the_lock(switched: Switched) -> None:
    with switched.host.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = switched.back(change=replaced("WAIT_SECONDS = 300", "WAIT_SECONDS = 0"))
    assert done.returncode == 1 and "nothing was put back: another run's work" in done.stderr
    assert "systemctl start n.service" in switched.calls and switched.host.head == NEW


def test_docker_that_does_not_answer_leaves_the_rollback_open(switched: Switched) -> None:
    switched.program("docker", "echo Cannot connect >&2; exit 1")
    done = switched.back()
    assert done.returncode == 1 and "the image was not put back" in done.stderr
    assert "systemctl start n.service" in switched.calls
    switched.program("docker", """echo "docker $@" >> calls; [ "$1" != image ] || echo '[{"Id": "sha256:1"}]'""")
    assert switched.back().returncode == 0 and "docker tag agent:nanoclaw-pods-previous agent:latest" in switched.calls
