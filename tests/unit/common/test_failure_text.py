"""The cause of a failure is found in what package managers, compilers and scripts print around it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from files.pods.common.failure_text import MAX_LINES, find_cause
from files.pods.source.git_trust import quoted, trusting

GYP = """\
Progress: resolved 412, reused 0, downloaded 130, added 128
.../node_modules/better-sqlite3 install: prebuild-install warn install request to https://github.com/x failed
.../node_modules/better-sqlite3 install: gyp info using node-gyp@10.0.0
.../node_modules/better-sqlite3 install: gyp http fetch GET https://nodejs.org/h.tar.gz attempt 1 failed with ENOTFOUND
.../node_modules/better-sqlite3 install: gyp WARN install got an error, rolling back install
.../node_modules/better-sqlite3 install: gyp ERR! configure error
.../node_modules/better-sqlite3 install: gyp ERR! stack Error: This is most likely not a problem with node-gyp
.../node_modules/better-sqlite3 install: gyp ERR! stack     at ClientRequest.<anonymous> (/usr/lib/fetch.js:108:14)
 ELIFECYCLE  Command failed with exit code 1.
"""
PNPM = """\
=== NANOCLAW SETUP: INSTALL_GITHUB ===
STEP: pnpm-install
Progress: resolved 1, reused 0, downloaded 0, added 0
\u2009ERR_PNPM_NO_MATCHING_VERSION\u2009 No matching version found for @chat-adapter/github@4.26.0
This error happened while installing a direct dependency of /opt/nanoclaw
    at resolve (file:///usr/lib/node_modules/pnpm/dist/pnpm.cjs:1:2)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
"""
GIT = (
    "fatal: detected dubious ownership in repository at '/pods/nanoclaw-v2'\nTo add an exception, call:\n\tgit config\n"
)
TSX = """\
node:internal/modules/run_main:123
    triggerUncaughtException(
    ^
Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'better-sqlite3' imported from /opt/nanoclaw/setup/db.ts
    at packageResolve (node:internal/modules/esm/resolve:839:81) {
  code: 'ERR_MODULE_NOT_FOUND'
}

Node.js v20.19.2
"""


@pytest.mark.parametrize(
    ("output", "first"),
    [
        (GYP, "attempt 1 failed with ENOTFOUND"),
        (PNPM, "ERR_PNPM_NO_MATCHING_VERSION No matching version found for @chat-adapter/github@4.26.0"),
        (GIT, "fatal: detected dubious ownership in repository at '/pods/nanoclaw-v2'"),
        (TSX, "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'better-sqlite3' imported from"),
        ("one\nnpm error code E404\nnpm error 404 Not Found", "npm error code E404"),
        ("bash: line 1: pnpm: command not found\n", "bash: line 1: pnpm: command not found"),
        ("one\ntwo\nthree\nfour\nfive\n", "two"),
        ("    at f (x.js:1:2)\n", "at f (x.js:1:2)"),
    ],
)
def test_first_line_of_a_failure_text_names_the_cause(output: str, first: str) -> None:
    causes = find_cause(output)
    assert first in causes[0] and 0 < len(causes) <= MAX_LINES
    assert all(line.isprintable() and len(line) <= 200 for line in causes)


@pytest.mark.parametrize("output", [GYP, PNPM, TSX])
def test_failure_text_has_no_progress_and_no_stack_frames(output: str) -> None:
    assert not [line for line in find_cause(output) if "Progress" in line or ".js:" in line or "node:internal" in line]


def test_empty_output_has_no_cause_and_repeated_lines_count_once() -> None:
    assert find_cause("\n \n") == []
    assert find_cause("fatal: no\nfatal: no\n") == ["fatal: no"]


def config(*args: str) -> str:
    return subprocess.run(["git", "config", *args], capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("name", ["plain", "with space", 'a"quote', "back\\slash", "#hash; semi"])
def test_only_one_path_is_trusted_and_the_users_git_config_applies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / "home"
    (home / ".config/git").mkdir(parents=True)
    (home / ".config/git/config").write_text("[user]\n\tname = From XDG\n\temail = xdg@lab.invalid\n")
    (home / ".gitconfig").write_text("[user]\n\tname = Me\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    root = str(tmp_path / name)
    with trusting(root):
        path = Path(os.environ["GIT_CONFIG_GLOBAL"])
        assert path.stat().st_mode & 0o777 == 0o600
        assert config("--global", "--includes", "--get-all", "safe.directory") == f"{root}\n"
        assert config("user.name") == "Me\n" and config("user.email") == "xdg@lab.invalid\n"
    assert "GIT_CONFIG_GLOBAL" not in os.environ and not path.exists()
    assert (home / ".gitconfig").read_text() == "[user]\n\tname = Me\n"


def test_earlier_git_config_is_restored_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/mine")
    with pytest.raises(SystemExit), trusting("/x"):
        raise SystemExit
    assert os.environ["GIT_CONFIG_GLOBAL"] == "/mine"
    assert quoted('a"\\') == '"a\\"\\\\"'
