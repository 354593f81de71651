"""Commits that NanoClaw's own setup makes on top of a release stay with it."""

from __future__ import annotations

import pytest

from files.pods.source.git_worktree import Tree
from files.pods.source.setup_commits import MOST, setup_commits
from tests.unit.source.source_host import NEW, OLD, Host

WHO = ("-c", "user.name=a", "-c", "user.email=a@lab.invalid")


def commit(host: Host, subject: str, path: str = "src/gateway-providers/installed.ts") -> str:
    file = host.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"import './{subject.split()[-1]}.js';\n")
    host.git("add", "--force", path)
    host.git(*WHO, "commit", "--quiet", "--message", subject)
    return host.git("rev-parse", "HEAD")


@pytest.fixture
def release(host: Host) -> str:
    host.check_out(OLD)
    return host.git("rev-parse", "HEAD")


def test_release_alone_has_none(host: Host, release: str) -> None:
    assert setup_commits(Tree(str(host.root)), release) == (release, [])


def test_setup_commits_are_named_and_stay(host: Host, release: str) -> None:
    commit(host, "setup: apply onecli")
    head = commit(host, "setup: apply add-telegram", "src/channels/index.js")
    assert setup_commits(Tree(str(host.root)), head) == (release, ["add-telegram", "onecli"])
    for ref in (OLD, release, release[:10]):
        state = host.look(ref)
        assert (state.commit, state.desired, state.unresolved) == (head, head, None)
    done = host.move(OLD)
    assert done.returncode == 0 and host.git("rev-parse", "HEAD") == head, done.stderr


def test_setup_commit_on_a_branch_stays_until_the_branch_moves(host: Host) -> None:
    host.check_out("main")
    head = commit(host, "setup: apply onecli")
    assert host.look("main").desired == head
    host.release("v9.0.0", {"README.md": "more\n"})
    assert host.look("main").desired not in (head, None)


def test_new_ref_leaves_setup_commits_behind(host: Host, release: str) -> None:
    commit(host, "setup: apply onecli", "src/log.js")
    host.check_out(NEW)
    assert host.head == NEW and host.status == []


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        ("fix: mine", "src/log.js"),
        ("setup: apply", "src/log.js"),
        ("setup: apply onecli", "groups/main/CLAUDE.md"),
        ("setup: apply onecli", ".npmrc"),
    ],
)
def test_commit_of_somebody_else_is_no_setup_commit(host: Host, release: str, subject: str, path: str) -> None:
    head = commit(host, subject, path)
    assert setup_commits(Tree(str(host.root)), head) == (head, [])
    assert host.look(OLD).desired == release


def test_setup_commit_above_an_operators_commit_does_not_hide_it(host: Host, release: str) -> None:
    mine = commit(host, "fix: mine")
    head = commit(host, "setup: apply onecli")
    assert setup_commits(Tree(str(host.root)), head) == (mine, ["onecli"])
    assert host.look(OLD).desired == release


def test_endless_row_of_them_counts_as_none(host: Host, release: str) -> None:
    for number in range(MOST):
        head = commit(host, f"setup: apply s{number}")
    assert setup_commits(Tree(str(host.root)), head) == (head, [])
