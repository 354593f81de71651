"""What is copied from a v1 whose agents have left links where root reads and the host user writes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tasks.command import program_argv

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("rsync"), reason="needs root, to read and write as others, and rsync"
)
UID = 1234


class Case(NamedTuple):
    """A small v1 and v2, and beside them what nobody may get at."""

    v1: Path
    v2: Path
    secret: Path
    home: Path

    @property
    def claude(self) -> Path:
        return self.v1 / "data/sessions/main/.claude"

    @property
    def group(self) -> Path:
        return self.v1 / "groups/main"

    @property
    def shared(self) -> Path:
        return self.v2 / "data/v2-sessions/ag-1/.claude-shared"

    def copy(self, links: bool = True) -> subprocess.CompletedProcess[str]:
        for place in (self.v1, self.v2, self.home):
            subprocess.run(["chown", "-hR", f"{UID}:{UID}", str(place)], check=True)
        asked = {"v1": str(self.v1), "root": str(self.v2), "user": "x", "uid": UID, "gid": UID}
        _python, *words = program_argv(
            "v1_copy", {**asked, "v1_home": None, "hard_links": links, "final": True, "seconds": 60}
        )
        return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    for place in (tmp_path, *tmp_path.parents):  # another user has to get here
        place.chmod(place.stat().st_mode | 0o011)
    made = Case(tmp_path / "v1", tmp_path / "v2", tmp_path / "secret", tmp_path / "home")
    for place in (made.claude, made.group, made.v2 / "data/v2-sessions", made.v2 / "container/skills/own", made.home):
        place.mkdir(parents=True)
    made.secret.mkdir(mode=0o700)
    (made.secret / "shadow").write_text("secret")
    (made.secret / "shadow").chmod(0o600)
    (made.home / "keys").write_text("kept")
    (made.v2 / "container/skills/own/SKILL.md").write_text("own")
    with sqlite3.connect(made.v2 / "data/v2.db") as database:
        database.execute("CREATE TABLE agent_groups (id, folder)")
        database.execute("INSERT INTO agent_groups VALUES ('ag-1', 'main')")
    database.close()
    git = ["git", "-C", str(made.v2), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for words in (["init", "-q"], ["add", "container"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    return made


def test_all_is_copied_and_belongs_to_the_host_user(case: Case) -> None:
    (case.group / "notes").mkdir()
    (case.group / "notes/today.md").write_text("today")
    (case.group / "latest").symlink_to("notes")
    (case.group / "CLAUDE.md").write_text("memory")
    (case.claude / "projects/-workspace-group").mkdir(parents=True)
    (case.claude / "projects/-workspace-group/one.jsonl").write_text("{}")
    os.utime(case.claude / "projects/-workspace-group/one.jsonl", (1000, 1000))
    (case.v1 / "store/auth").mkdir(parents=True)
    (case.v1 / "store/auth/creds.json").write_text("{}")
    (case.v1 / "container/skills/weather").mkdir(parents=True)
    (case.v1 / "container/skills/weather/SKILL.md").write_text("sky")
    for _ in range(2):
        done = case.copy()
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["bytes"] == 0
    copied = case.shared / "projects/-workspace-agent/one.jsonl"
    assert copied.stat().st_mtime == 1000 and copied.stat().st_uid == UID
    assert (case.v2 / "groups/main/notes/today.md").read_text() == "today"
    assert (case.v2 / "groups/main/latest").readlink() == Path("notes")
    assert not (case.v2 / "groups/main/CLAUDE.md").exists()
    assert (case.v2 / "store/auth/creds.json").stat().st_mode & 0o777 == 0o600
    assert (case.v2 / "container/skills/weather/SKILL.md").read_text() == "sky"
    (case.group / "notes/today.md").unlink()
    assert case.copy().returncode == 0
    assert not (case.v2 / "groups/main/notes/today.md").exists()


def _linked_conversation(case: Case) -> None:
    (case.claude / "projects").mkdir()
    (case.claude / "projects/-workspace-group").symlink_to(case.secret)


def _linked_projects(case: Case) -> None:
    place = case.group / "p"
    (place / "-workspace-group").mkdir(parents=True)
    (place / "-workspace-group/keys").write_text("attacker")
    (place / "-workspace-agent").symlink_to(case.home)
    (case.claude / "projects").symlink_to(place)


def _linked_home(case: Case) -> None:
    case.claude.rmdir()
    case.claude.symlink_to(case.secret)


def _linked_auth(case: Case) -> None:
    (case.v1 / "store").mkdir()
    (case.v1 / "store/auth").symlink_to(case.secret)


def _linked_store(case: Case) -> None:
    (case.secret / "auth").mkdir()
    (case.secret / "auth/shadow").write_text("secret")
    (case.v1 / "store").symlink_to(case.secret)


def _linked_skill(case: Case) -> None:
    (case.v1 / "container/skills").mkdir(parents=True)
    (case.v1 / "container/skills/evil").symlink_to(case.secret)


def _linked_group(case: Case) -> None:
    (case.v1 / "groups/other").symlink_to(case.secret)


@pytest.mark.parametrize(
    "plant",
    [_linked_conversation, _linked_projects, _linked_home, _linked_auth, _linked_store, _linked_skill, _linked_group],
)
def test_no_link_of_an_agent_is_followed(case: Case, plant: Callable[[Case], None]) -> None:
    plant(case)
    done = case.copy()
    assert done.returncode == 0, done.stderr
    copied = [path for path in case.v2.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in copied if b"secret" in path.read_bytes() or path.name == "shadow"]
    assert [path.name for path in case.home.iterdir()] == ["keys"]
    assert (case.home / "keys").read_text() == "kept"


def test_hard_links_are_kept_only_where_each_name_can_be_given(case: Case) -> None:
    (case.group / "one").write_text("1")
    (case.group / "two").hardlink_to(case.group / "one")
    assert case.copy().returncode == 0
    assert (case.v2 / "groups/main/one").stat().st_nlink == 2
    shutil.rmtree(case.v2 / "groups")
    assert case.copy(links=False).returncode == 0
    assert (case.v2 / "groups/main/one").stat().st_nlink == 1
