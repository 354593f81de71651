"""Root's checkout on pods that squash: the agent's uid owns it, and can configure programs that git starts.

NFS is stood in for: every path counts as one of a server's, and the tree is chowned as a server that squashes would.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from files.pods.common import run_as_host_user
from files.pods.common.protocol import Request
from files.pods.source import fetch_for_owner, git_worktree
from files.pods.source.channel_undo import begin_channel, undo_channel
from files.pods.source.git_worktree import MOVING, Tree
from files.pods.source.protocol import ImageRequest
from files.pods.source.version_state import fetch_aside
from tests.lab.standin import make_repository
from tests.programs import replaced, request_argv
from tests.unit.source.source_host import NEW, OLD, Host
from tests.unit.trees.trees import A, needs_root

pytestmark = needs_root

ON_NFS = replaced('return mount_of(path)[1].startswith("nfs")', "return True")
EVIL = """\
#!/bin/sh
echo "$(id -u) $(id -G) $HOME $(basename "$0")" >>{told}
cat {secret} >>{told}
exec cat
"""
COMMANDS = ("core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "diff.external")
PROGRAMS = (*COMMANDS, "credential.helper", "remote.origin.uploadpack", "gpg.program", "filter.evil.clean")
HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman")


class Squashed(Host):
    """A host of root with a checkout that the agent owns, as on a server that squashes."""

    folder: Path

    def run(self, kind: type[Request], **more: Any) -> subprocess.CompletedProcess[str]:
        argv = request_argv(self.request(kind, **{"user": "root", "uid": 0, "gid": 0, **more}), ON_NFS)
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home")}

    def plant(self) -> None:
        """Let everything that the agent can configure start a program that records its uid."""
        evil, git = self.folder / "evil", ["git", "config", "--file", str(self.root / ".git/config")]
        evil.write_text(EVIL.format(told=self.folder / "told", secret=self.folder / "secret"))
        evil.chmod(0o755)
        for name in PROGRAMS:
            subprocess.run([*git, name, str(evil)], check=True)
        more = {
            "core.hooksPath": str(self.root / ".git/hooks"),
            "protocol.ext.allow": "always",
            "remote.origin.promisor": "true",
            "extensions.partialClone": "origin",
            "core.repositoryFormatVersion": "1",
            "gc.auto": "1",
            f"url.ext::{evil} %s.insteadOf": str(self.repository),
            "include.path": str(self.root / "more.config"),
        }
        for name, value in more.items():
            subprocess.run([*git, name, value], check=True)
        (self.root / "more.config").write_text(f"[core]\n\tfsmonitor = {evil}\n")
        for hook in HOOKS:
            (self.root / ".git/hooks" / hook).write_text(evil.read_text())
            (self.root / ".git/hooks" / hook).chmod(0o755)
        (self.root / ".git/info/attributes").write_text("* filter=evil diff=evil\n")
        subprocess.run(["chown", "-hR", f"{A}:{A}", str(self.root)], check=True)

    @property
    def ran(self) -> list[list[str]]:
        """Return uid, groups and home of each such run, and secrets that it read."""
        return [line.split() for line in (self.folder / "told").read_text().splitlines()]


@pytest.fixture
def squashed() -> Iterator[Squashed]:
    with tempfile.TemporaryDirectory() as name:  # which others may enter, as tmp_path they may not
        folder = Path(name)
        folder.chmod(0o755)
        make_repository(folder / "remote.git")
        host = Squashed(folder / "root", folder / "remote.git")
        host.folder = folder
        (folder / "home").mkdir(mode=0o700)
        for file, mode in (("secret", 0o600), ("told", 0o666)):
            (folder / file).write_text("secret\n" if file == "secret" else "")
            (folder / file).chmod(mode)
        host.root.mkdir()
        os.chown(host.root, A, A)
        (folder / "remote.git").chmod(0o700)  # root alone reaches the remote
        yield host


def check_out(host: Squashed, ref: str) -> None:
    host.check_out(ref)
    subprocess.run(["chown", "-hR", f"{A}:{A}", str(host.root)], check=True)  # what root itself made, as data/


def only_the_owner(host: Squashed) -> None:
    assert host.ran, "the attack did not come to run anything"
    assert {(uid, groups) for uid, groups, *_ in host.ran} == {(str(A), str(A))}, "nothing ran but as the owner"
    assert {home for _, _, home, *_ in host.ran} == {"/nonexistent"}


def head_of(host: Squashed) -> str:
    command = ["setpriv", f"--reuid={A}", f"--regid={A}", "--clear-groups", "git", "-C", str(host.root)]
    args = ["-c", "core.fsmonitor=false", "describe", "--tags", "HEAD"]
    done = subprocess.run(
        [*command, *args], check=True, capture_output=True, text=True, env=host.environment | {"HOME": "/"}
    )
    return done.stdout.strip()


def test_first_checkout_comes_from_roots_remote_and_belongs_to_the_owner(squashed: Squashed) -> None:
    check_out(squashed, OLD)
    assert head_of(squashed) == OLD
    assert (squashed.look(OLD).commit, squashed.look(OLD).unresolved) == (squashed.look(OLD).desired, None)
    for path in squashed.root.rglob("*"):
        assert path.lstat().st_uid == A, path


def test_bundle_is_readable_by_the_owner_alone_and_removed(
    squashed: Squashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_for_owner, "PLACE", str(tmp_path))
    with fetch_for_owner.made_bundle(str(squashed.repository), OLD, (A, A)) as file:
        modes = [
            (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777)
            for path in (Path(file), Path(file).parent)
        ]
        assert modes == [(A, A, 0o400), (0, A, 0o710)]
    with pytest.raises(SystemExit, match="git fetch"), fetch_for_owner.made_bundle("/none", OLD, (A, A)):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ref", ["main", "commit"])
def test_branches_and_commits_are_fetched(squashed: Squashed, ref: str) -> None:
    check_out(squashed, OLD)
    squashed.release("v9.0.0", {"new": "new\n"})
    named = ["git", "-C", str(squashed.repository), "rev-parse", "v9.0.0^{commit}"]
    commit = subprocess.run(named, check=True, capture_output=True, text=True).stdout.strip()
    check_out(squashed, ref if ref == "main" else commit)
    assert head_of(squashed) == "v9.0.0"


def test_directory_of_a_fetch_that_somebody_else_has_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a cleaner of /var/tmp does; what was fetched counts."""
    make_repository(tmp_path / "remote.git")
    (tmp_path / "place").mkdir()
    monkeypatch.setattr(fetch_for_owner, "PLACE", str(tmp_path / "place"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "place"))
    with fetch_for_owner.made_bundle(str(tmp_path / "remote.git"), OLD, (os.getuid(), os.getgid())) as bundle:
        assert Path(bundle).stat().st_size > 0
        shutil.rmtree(Path(bundle).parent)
    with fetch_aside(str(tmp_path / "remote.git"), OLD, None) as fetched:
        assert fetched and (Path(fetched[0]) / "HEAD").exists()
        shutil.rmtree(fetched[0])
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize(
    ("fails", "errors"),
    [(SystemExit("no such branch"), "no such branch\n"), (ValueError("odd"), "ValueError: odd\n")],
)
def test_work_of_the_owner_that_fails_says_why_and_ends_the_run(
    fails: BaseException, errors: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        print("begun")
        raise fails

    with pytest.raises(SystemExit) as ended:
        fetch_for_owner.run_in_child(work)
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (1, "begun\n") and err.endswith(errors)
    fetch_for_owner.run_in_child(lambda: None)


def test_missing_ref_is_named(squashed: Squashed) -> None:
    check_out(squashed, OLD)
    done = squashed.fetch("v9")
    assert done.returncode == 1 and "has no tag, branch or commit v9" in done.stderr, done.stderr


def test_programs_of_the_agent_never_run_as_root(squashed: Squashed) -> None:
    check_out(squashed, OLD)
    squashed.plant()
    state = squashed.look(NEW)
    assert state.unresolved is None and state.desired != state.commit, "root asks its own remote"
    check_out(squashed, NEW)
    only_the_owner(squashed)
    assert head_of(squashed) == NEW


def test_look_at_the_image_runs_nothing_as_root(squashed: Squashed) -> None:
    check_out(squashed, OLD)
    squashed.plant()
    (squashed.root / "container/build.sh").write_text("changed")
    docker = squashed.folder / "bin/docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    request = ImageRequest("agent", str(squashed.root), 0, 0, "/nonexistent")
    path = {"PATH": f"{docker.parent}:{os.environ['PATH']}"}
    argv = request_argv(request, ON_NFS)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=squashed.environment | path)
    assert "+" in json.loads(done.stdout)["tree"], done.stderr
    only_the_owner(squashed)


@pytest.mark.parametrize("work", ["commit", "differing", "blob", "channel"])
def test_no_git_of_a_checkout_runs_as_root(squashed: Squashed, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    """In the state of the service, the marker of an upgrade, the build, a channel install."""
    check_out(squashed, OLD)
    squashed.plant()
    monkeypatch.setattr(git_worktree, "on_network", lambda _path: True)
    tree, ran = Tree(str(squashed.root)), list[list[Any]]()
    real = subprocess.run

    def run(argv: list[str], **more: Any) -> Any:
        ran.append(
            [argv[0], *(more.get(key) for key in ("user", "group", "extra_groups")), more.get("env", {})["HOME"]]
        )
        return real(argv, **more)

    monkeypatch.setattr(subprocess, "run", run)

    def channel() -> None:
        (squashed.root / "src/index.ts").write_text("changed\n")
        begin_channel(tree, "telegram")
        (squashed.root / "src/index.ts").write_text("by the script\n")
        undo_channel(tree)
        assert (squashed.root / "src/index.ts").read_text() == "changed\n"

    works: dict[str, Callable[[], object]] = {
        "commit": lambda: tree.commit("HEAD"),
        "differing": lambda: tree.names("diff-index", "-z", "--name-only", "HEAD"),
        "blob": lambda: tree.blob("HEAD", "package.json"),
        "channel": channel,
    }
    assert works[work]() is not False
    assert ran and all(one == ["git", A, A, [], "/nonexistent"] for one in ran), ran


@pytest.mark.parametrize("name", [MOVING, "index.lock"])
def test_root_follows_no_link_of_the_agent_in_the_repository(squashed: Squashed, name: str) -> None:
    check_out(squashed, OLD)
    secret = squashed.folder / "secret"
    (squashed.root / ".git" / name).symlink_to(secret)
    squashed.fetch(NEW)
    squashed.move(NEW)
    assert secret.read_text() == "secret\n"


def test_root_follows_no_linked_directory(squashed: Squashed) -> None:
    """The owner removes files that a version lacks, by path: it may remove no file of root."""
    check_out(squashed, OLD)
    theirs = squashed.folder / "theirs"
    subprocess.run(["cp", "-r", str(squashed.root / "src"), str(theirs)], check=True)
    before = {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()}
    subprocess.run(["rm", "-r", str(squashed.root / "src")], check=True)
    (squashed.root / "src").symlink_to(theirs)
    squashed.fetch(NEW)
    squashed.move(NEW, stash="kept")
    assert {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()} == before


def test_checkout_of_root_belongs_to_root(squashed: Squashed, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server that does not squash, and on a disk."""
    monkeypatch.setattr(git_worktree, "on_network", lambda _path: True)
    assert git_worktree.other_owner(str(squashed.root)) == (A, A)
    os.chown(squashed.root, 0, 0)
    assert git_worktree.other_owner(str(squashed.root)) is None
    os.chown(squashed.root, A, A)
    monkeypatch.setattr(git_worktree, "on_network", run_as_host_user.on_network)
    assert git_worktree.other_owner(str(squashed.root)) is None
