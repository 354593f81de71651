"""The checkout's requests to the remote."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from files.pods.source import desired_commit
from files.pods.source.git_worktree import Tree
from tests.unit.source.source_host import NEW, OLD, Host


def test_current_commit_needs_no_network(host: Host) -> None:
    host.check_out(OLD)
    host.repository.rename(host.repository.with_name("gone"))
    commit = host.git("rev-parse", "HEAD")
    for ref in (OLD, commit, commit[:10]):
        state = host.look(ref)
        assert (state.desired, state.unresolved) == (state.commit, None)
    assert host.look("main").unresolved
    assert host.look(NEW).unresolved is None  # main's history was fetched with its tags
    assert host.fetch("main").returncode != 0


def test_branch_follows_the_remote(host: Host) -> None:
    host.check_out("main")
    state = host.look("main")
    assert state.commit == state.desired
    subprocess.run(["git", "-C", str(host.repository), "update-ref", "refs/heads/main", OLD], check=True)
    state = host.look("main")
    assert state.commit != state.desired
    host.check_out("main")
    assert host.head == OLD


@pytest.mark.parametrize("ref", ["v9", "no/such", "deadbeef"])
def test_missing_ref_is_reported(host: Host, ref: str) -> None:
    host.check_out(OLD)
    state = host.look(ref)
    assert state.desired is None
    assert bool(state.unresolved) == (ref != "deadbeef")
    done = host.fetch(ref)
    assert done.returncode != 0
    assert host.head == OLD


def test_password_in_the_remote_is_not_shown(host: Host) -> None:
    host.check_out(OLD)
    host.git("remote", "set-url", "origin", "https://me:secret@git.invalid/nanoclaw.git")
    assert host.look(OLD).remote == "https://git.invalid/nanoclaw.git"


@pytest.mark.parametrize(
    ("git", "ref", "answer"),
    [
        ("exit 1", "v1", (None, "git ls-remote failed")),
        ("echo 'fatal:  no\n way' >&2; exit 1", "v1", (None, "fatal: no way")),
        ("exit 0", "v1", (None, "it has no tag and no branch of that name")),
        ("exit 0", "abcdef0", (None, None)),
        ("printf 'a\\trefs/heads/v1\\nb\\trefs/tags/v1\\nc\\trefs/tags/v1^{}\\n'", "v1", ("c", None)),
        ("printf 'a\\trefs/heads/v1\\nb\\trefs/tags/v1\\n'", "v1", ("b", None)),
        ("printf 'a\\trefs/heads/v1\\n'", "v1", ("a", None)),
    ],
)
def test_remote_resolves_a_name_or_reports_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: str, ref: str, answer: tuple[str | None, str | None]
) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\n{git}\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert desired_commit.remote_commit(None, "https://git.invalid/claw", ref) == answer


@pytest.mark.parametrize("within", [False, True])
def test_silent_remote_ends_at_its_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: bool) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\nexec sleep 20\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(desired_commit, "REMOTE_SECONDS", 1)
    tree = Tree(str(tmp_path)) if within else None
    assert desired_commit.remote_commit(tree, "https://git.invalid/claw", "v1") == (None, "no answer within 1 s")


def test_commit_of_no_branch_and_no_tag_is_fetched_by_its_id(host: Host) -> None:
    """As of a pull request: nothing that is fetched leads there."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@lab.invalid", "-C", str(host.repository)]
    made = subprocess.run(
        [*git, "commit-tree", "-m", "aside", f"{OLD}^{{tree}}"], check=True, capture_output=True, text=True
    )
    commit = made.stdout.strip()
    subprocess.run([*git, "update-ref", "refs/pull/1/head", commit], check=True)
    host.check_out(OLD)
    host.check_out(commit)
    assert host.git("rev-parse", "HEAD") == commit
