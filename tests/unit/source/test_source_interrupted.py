"""An interrupted checkout, or one that another git works in."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Any

import pytest

from files.pods.source import switch_commit as move_source
from files.pods.source.git_worktree import MOVING, Tree
from tests.unit.source.source_host import NEW, OLD, Host


def test_interrupted_first_checkout_is_finished(host: Host) -> None:
    host.check_out(OLD)
    # As if it had been killed while it wrote: no HEAD yet, no index, files missing, whole or half written.
    (host.root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (host.root / ".git/index").unlink()
    (host.root / ".git/index.lock").touch()
    (host.root / ".git" / MOVING).touch()
    (host.root / "package.json").write_text('{\n  "na')
    (host.root / "groups/main/CLAUDE.md").write_text("")
    (host.root / "src/index.js").unlink()
    assert host.look(OLD).foreign == []
    host.check_out(OLD)
    assert (host.head, host.status, host.version) == (OLD, [], "2.0.64")


def test_interrupted_move_is_finished(host: Host) -> None:
    host.check_out(OLD)
    assert host.fetch(NEW).returncode == 0
    # As if it had been killed while it wrote.
    (host.root / ".git" / MOVING).write_text(host.git("rev-parse", "HEAD"))
    (host.root / ".git/index.lock").touch()
    (host.root / "package.json").write_text(host.git("show", f"{NEW}:package.json") + "\n")
    (host.root / "src/config.js").write_text(host.git("show", f"{NEW}:src/config.js")[:50])
    (host.root / "pnpm-lock.yaml").unlink()
    (host.root / "packages/release-notes").mkdir()
    (host.root / "packages/release-notes/index.js").write_text("export")
    (host.root / "src/index.js").write_text("// a channel\n")
    assert host.look(NEW).changed == []
    host.check_out(NEW)
    assert (host.head, host.status, host.version) == (NEW, [" M src/index.js"], "2.0.65")


def test_move_without_its_last_step_is_finished(host: Host) -> None:
    host.check_out(OLD)
    old = host.git("rev-parse", "HEAD")
    host.check_out(NEW)
    # As if it had been killed before HEAD was written: index and files are the new ones.
    host.git("update-ref", "--no-deref", "HEAD", old)
    (host.root / ".git" / MOVING).write_text(old)
    assert host.look(NEW).changed == []
    host.check_out(NEW)
    assert (host.head, host.status, host.version) == (NEW, [], "2.0.65")


class Killed(BaseException):
    """Stands for SIGKILL between two commands of git."""


@pytest.mark.parametrize("last", range(14))
def test_move_killed_between_any_two_commands_is_finished(
    host: Host, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, tree = Tree.run, Tree(str(host.root))
    assert host.fetch(NEW).returncode == 0
    for ref in (OLD, NEW):
        if ref == NEW:
            (host.root / "groups/main/CLAUDE.md").write_text("composed\n")
        count = 0

        def counted(tree: Tree, *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
            nonlocal count
            count += 1
            if count > last:
                raise Killed
            return run(tree, *args, **more)

        monkeypatch.setattr(Tree, "run", counted)
        with contextlib.suppress(Killed):
            move_source.main(tree, ref, None)
        monkeypatch.undo()
        move_source.main(tree, ref, None)
        assert host.head == ref
        assert host.status == ([] if ref == OLD else [" M groups/main/CLAUDE.md"])


def test_empty_repository_after_a_power_cut_is_created_again(host: Host) -> None:
    assert host.fetch(OLD).returncode == 0
    (host.root / ".git/HEAD").write_text("")
    assert host.look(OLD).foreign == []
    host.check_out(OLD)
    assert (host.head, host.status) == (OLD, [])


def test_corrupt_index_is_created_again(host: Host) -> None:
    host.check_out(OLD)
    (host.root / "src/index.js").write_text("// mine\n")
    (host.root / ".git/index").write_text("DIRC")
    assert host.look(NEW).changed == []
    assert host.fetch(NEW).stdout == "made a new index: the old one was corrupt\n"
    host.check_out(NEW)
    assert (host.head, host.status) == (NEW, [" M src/index.js"])


def test_half_a_file_is_a_local_change_without_an_interruption(host: Host) -> None:
    host.check_out(OLD)
    assert host.fetch(NEW).returncode == 0
    (host.root / "src/config.js").write_text("")
    assert host.look(NEW).changed == ["src/config.js"]


def test_running_git_is_refused(host: Host) -> None:
    host.check_out(OLD)
    lock = host.root / ".git/index.lock"
    lock.touch()
    at_work = subprocess.Popen(["git", "cat-file", "--batch"], cwd=host.root, stdin=subprocess.PIPE)
    try:
        done = host.fetch(NEW)
        assert str(at_work.pid) in done.stderr
        assert lock.exists()
    finally:
        at_work.kill()
        at_work.wait()
    refs = host.root / ".git/refs/heads/main.lock"
    theirs = host.root / ".git/info/mine.lock"
    for path in (refs, theirs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = host.fetch(NEW)
    assert done.returncode == 0, done.stderr
    assert not lock.exists() and not refs.exists() and theirs.exists()
    removed = {f"removed {path}, which a git that was ended had left" for path in (lock, refs)}
    assert set(done.stdout.splitlines()) == removed


def test_version_that_was_not_fetched_is_not_moved_to(host: Host) -> None:
    host.check_out(OLD)
    done = host.move("v9.9.9")
    assert (done.returncode, done.stderr, host.head) == (1, "v9.9.9 was not fetched\n", OLD)
