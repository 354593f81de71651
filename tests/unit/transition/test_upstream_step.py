"""NanoClaw's own step is judged by its output, and runs as the host user."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.transition.protocol import UpstreamStepRequest
from tests.unit.trees.trees import needs_root

PNPM = """#!/bin/bash
printf '%s\\n' "$PWD" "$*" "$(umask)" "$HOME" "$(id -u):$(id -g)" > seen
git status --porcelain > git 2>&1
. ./says
"""

DRIVER = """
import json, sys
from files.pods.common import run_as_host_user as host_user
from files.pods.common.protocol import read_request
from files.pods.transition import upstream_step as nanoclaw_step
from files.pods.transition.protocol import (UpstreamStepRequest)
host_user.HOST_PATH = sys.argv[2]
print(json.dumps(nanoclaw_step.main(read_request(UpstreamStepRequest))))
"""


class Project:
    """A project root with a pnpm that prints what a test needs."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.root.mkdir()
        program = base / "bin/pnpm"
        program.parent.mkdir()
        program.write_text(PNPM)
        program.chmod(0o755)
        subprocess.run(["git", "init", "--quiet", str(self.root)], check=True)
        self.path = f"{program.parent}:{os.environ['PATH']}"

    def try_step(self, says: str, **more: Any) -> subprocess.CompletedProcess[str]:
        (self.root / "says").write_text(says)
        me = pwd.getpwuid(os.getuid())
        user = (me.pw_name, me.pw_uid, me.pw_gid)
        request = replace(UpstreamStepRequest(*user, str(self.root), "/snapshot", "db", [], "022"), **more)
        argv = [sys.executable, "-c", DRIVER, json.dumps(request.document()), self.path]
        return subprocess.run(
            argv, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60, check=False
        )

    def step(self, says: str, **more: Any) -> dict[str, Any]:
        done = self.try_step(says, **more)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def lines(self) -> list[str]:
        return (self.root / "seen").read_text().splitlines()


@pytest.fixture
def project() -> Iterator[Project]:
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: another user has to get in
        Path(folder).chmod(0o755)
        yield Project(Path(folder))


def test_step_gets_the_snapshot_and_runs_in_the_project_root(project: Project) -> None:
    answer = project.step("echo OK:copied=1", step="channel-auth", args=["telegram", "whatsapp"], mask="077")
    assert answer == {"ok": "OK:copied=1", "errors": [], "missing": []}
    arguments = "exec tsx setup/migrate-v2/channel-auth.ts /snapshot telegram whatsapp"
    assert project.lines()[:3] == [str(project.root), arguments, "0077"]


@needs_root
def test_step_runs_as_the_host_user_in_a_checkout_of_another(project: Project) -> None:
    project.root.chmod(0o777)
    project.step("echo OK:", user="nobody", uid=65534, gid=65534)
    assert project.lines()[2:] == ["0022", pwd.getpwnam("nobody").pw_dir, "65534:65534"]
    assert "dubious" not in (project.root / "git").read_text()


@pytest.mark.parametrize("line", ["OK:created=1", "SKIPPED:no v1 .env"])
@pytest.mark.parametrize("status", [0, 1])
def test_success_line_counts_whatever_the_status(project: Project, line: str, status: int) -> None:
    assert project.step(f"echo one; echo {line}; exit {status}")["ok"] == line


def test_lines_about_single_chats_and_tasks_are_returned(project: Project) -> None:
    says = "echo OK:active=2; echo MISSING:slack:TOKEN; echo ERROR:dc:1; echo TASK_ERROR:t1 >&2; echo ' ERROR:two'"
    answer = project.step(says)
    assert answer == {
        "ok": "OK:active=2",
        "errors": ["ERROR:dc:1", "ERROR:two", "TASK_ERROR:t1"],
        "missing": ["MISSING:slack:TOKEN"],
    }


def test_lines_are_printable(project: Project) -> None:
    assert project.step("printf 'OK:\\033[31mred\\n'")["ok"] == "OK:\\x1b[31mred"
    assert project.step("printf 'OK:\\377\\n'")["ok"].startswith("OK:")


@pytest.mark.parametrize(
    ("says", "text"),
    [
        ("echo OK:groups=1; echo FAIL:groups=1; exit 0", "(status 0): FAIL:groups=1"),
        ("echo FAIL:groups=1; echo ERROR:why; exit 1", "(status 1): FAIL:groups=1; ERROR:why"),
        ("echo ERROR:why; exit 1", "(status 1): ERROR:why"),
        ("exit 3", "(status 3): it printed nothing"),
        (
            "echo \"Error: Cannot find module 'better-sqlite3'\"; echo '    at node:internal/x:1:1'; echo Node.js v20",
            "Error: Cannot find module 'better-sqlite3'",
        ),
        ("echo one; echo two", "(status 0): one; two"),
    ],
)
def test_failed_step_shows_its_cause(project: Project, says: str, text: str) -> None:
    done = project.try_step(says)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("NanoClaw's step db failed (status ")
    assert text in done.stderr and "node:internal" not in done.stderr
