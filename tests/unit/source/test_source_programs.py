"""Real runs of the entries for the checkout, on repositories under tmp_path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from files.pods.source.fetch import git_processes
from files.pods.source.git_worktree import MOVING
from files.pods.source.protocol import FetchRequest
from tasks.model.host.checkout import checkout_problem
from tests.builders import local_plan
from tests.lab.standin import make_repository
from tests.unit.source.source_host import NEW, OLD, Host


def test_first_checkout_is_complete_and_detached(host: Host) -> None:
    assert host.look(OLD).commit is None
    host.check_out(OLD)
    assert host.git("diff-files", "--name-only") == "", "git knows each file's times, and reads none again"
    state = host.look(OLD)
    assert (host.head, host.status, state.commit, state.remote) == (OLD, [], state.desired, str(host.repository))
    assert host.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert (host.root / "data").is_dir()
    assert not (host.root / ".git" / MOVING).exists()
    assert os.access(host.root / "container/build.sh", os.X_OK)


def test_first_checkout_keeps_files_of_agents(host: Host) -> None:
    written = host.root / "groups/main/CLAUDE.md"
    written.parent.mkdir(parents=True)
    written.write_text("what an agent remembers")
    host.check_out(OLD)
    assert written.read_text() == "what an agent remembers"
    assert (host.root / "groups/global/CLAUDE.md").exists()
    assert host.status == [" M groups/main/CLAUDE.md"]


def test_first_checkout_follows_no_link_of_an_agent(host: Host, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    link = host.root / "groups/main/CLAUDE.md"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "secret")
    host.check_out(OLD)
    assert link.is_symlink()
    assert (tmp_path / "secret").read_text() == ""


@pytest.mark.parametrize("name", ["notes.txt", ".env"])
def test_other_files_in_the_project_root_are_refused(host: Host, name: str) -> None:
    host.root.mkdir()
    (host.root / name).touch()
    assert host.look(OLD).foreign == [name]
    assert host.fetch(OLD).returncode != 0
    assert [path.name for path in host.root.iterdir()] == [name]


def test_repository_above_the_project_root_is_not_used(host: Host, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    host.root.mkdir()
    assert host.look(OLD).commit is None


def test_move_keeps_changes_of_other_files(host: Host) -> None:
    host.check_out(OLD)
    (host.root / "groups/global/CLAUDE.md").unlink()
    (host.root / "groups/main/CLAUDE.md").rename(host.root / "groups/main/CLAUDE.local.md")
    (host.root / "src/index.js").write_text("// a channel\n")
    host.check_out(NEW)
    assert (host.head, host.version) == (NEW, "2.0.65")
    assert (host.root / "src/index.js").read_text() == "// a channel\n"
    assert host.status == [" D groups/global/CLAUDE.md", " D groups/main/CLAUDE.md", " M src/index.js"]


def test_files_changed_on_both_sides_are_named_and_kept(host: Host) -> None:
    host.check_out(OLD)
    (host.root / "src/config.js").write_text("// mine\n")
    (host.root / "packages/release-notes").mkdir()
    (host.root / "packages/release-notes/index.js").write_text("// mine too\n")
    assert host.look(NEW).changed == ["packages/release-notes/index.js", "src/config.js"]
    assert host.move(NEW).returncode != 0
    assert host.head == OLD
    assert (host.root / "src/config.js").read_text() == "// mine\n"


def test_stash_takes_local_changes(host: Host) -> None:
    host.check_out(OLD)
    (host.root / "src/config.js").write_text("// mine\n")
    (host.root / "src/new.js").write_text("// new\n")
    host.check_out(NEW, stash="nanoclaw-pods, today")
    assert (host.head, host.status) == (NEW, [])
    assert "nanoclaw-pods, today" in host.git("stash", "list")
    assert "// mine" in host.git("show", "stash@{0}:src/config.js")
    assert "// new" in host.git("show", "stash@{0}^3:src/new.js")
    who = host.git("show", "--no-patch", "--format=%an <%ae> %cn", "stash@{0}")
    assert who == "nanoclaw-pods <nanoclaw-pods@localhost> nanoclaw-pods", "the operator sees who made it"


def test_changed_file_with_a_name_that_is_no_utf_8_is_stashed(host: Host) -> None:
    host.release("v2.0.66", {"src/caf\udce9.js": "// theirs\n"})
    host.check_out(OLD)
    assert host.fetch("v2.0.66").returncode == 0
    mine = host.root / "src/caf\udce9.js"
    mine.write_text("// mine\n")
    assert host.look("v2.0.66").changed == ["src/caf\udce9.js"]
    host.check_out("v2.0.66", stash="mine")
    assert mine.read_text() == "// theirs\n"
    assert host.git("show", "stash@{0}^3:src/caf\udce9.js") == "// mine"


def test_groups_stay_as_agents_changed_them(host: Host) -> None:
    host.check_out(NEW)
    groups = host.root / "groups"
    (groups / "global/CLAUDE.md").unlink()
    (groups / "main/CLAUDE.md").write_text("composed\n")
    (groups / "main/notes.md").write_text("an agent's\n")
    (groups / "team").mkdir()
    (groups / "team/CLAUDE.md").write_text("a group of its own\n")
    written = {f"groups/{name}/CLAUDE.md": f"of the release: {name}\n" for name in ("global", "main", "team")}
    host.release("v2.0.66", {**written, "src/index.js": "// newer\n"})
    host.release("v2.0.67", {"groups/main/CLAUDE.md": None, ".gitignore": "node_modules\n"})
    assert host.look("v2.0.66").changed == []
    (host.root / "src/index.js").write_text("// mine\n")
    for ref in ("v2.0.66", "v2.0.67"):
        host.check_out(ref, stash="mine")
        assert host.head == ref
        assert not (groups / "global/CLAUDE.md").exists()
        assert (groups / "main/CLAUDE.md").read_text() == "composed\n"
        assert (groups / "main/notes.md").read_text() == "an agent's\n"
        assert (groups / "team/CLAUDE.md").read_text() == "a group of its own\n"
    assert "groups" not in host.git("stash", "show", "--include-untracked", "--name-only")
    assert (host.root / "src/index.js").read_text() == "// newer\n"
    (host.root / "package.json").write_text("mine")
    host.check_out(OLD, stash="mine")
    assert (groups / "main/notes.md").read_text() == "an agent's\n"
    assert host.git("diff", "--cached", "--name-only") == ""


def test_missing_mount_is_refused(host: Host) -> None:
    done = host.run(FetchRequest, ref=OLD, mounts=[str(host.root)])
    assert "is not mounted" in done.stderr
    assert not host.root.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="gives files to another user")
@pytest.mark.parametrize(("runs_as", "stopped"), [(0, True), (4242, False), (None, False)])
def test_checkout_of_another_user_is_chowned_to_the_host_user(
    runs_as: int | None, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that runs as the other user is stopped first, while it still owns its files."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        Path(folder).chmod(0o755)
        service = stack.enter_context(subprocess.Popen(["sleep", "100"], user=runs_as)) if runs_as is not None else None
        if service:
            stack.callback(service.kill)
        calls = Path(folder) / "calls"
        systemctl = Path(folder) / "bin/systemctl"
        systemctl.parent.mkdir()
        pid, data = service.pid if service else 0, f"{folder}/root/data"
        reply = f'[ "$1" = stop ] && stat -c %u {data} >> {calls} || echo {pid}'
        systemctl.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n{reply}\n')
        systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", f"{systemctl.parent}:{os.environ['PATH']}")
        make_repository(Path(folder) / "remote.git")
        _check_chown(Host(Path(folder) / "root", Path(folder) / "remote.git"), stopped)
        request = "show --property=MainPID --value n.service"
        assert calls.read_text().splitlines() == [request, *(["stop n.service", "0"] if stopped else [])]


def _check_chown(host: Host, stopped: bool) -> None:
    host.check_out(OLD)
    agents = host.root / "groups/main/CLAUDE.md"
    os.chown(agents, 4321, 4321)
    several, foreign = host.root / "several", host.root / "foreign"
    several.write_text("")
    (host.root.parent / "store").hardlink_to(several)
    foreign.write_text("")
    os.chown(foreign, 33, 33)
    user = {"user": "no-such-user", "uid": 4242, "gid": 4243}
    nowhere = str(host.root.with_name("nowhere.git"))
    done = host.run(FetchRequest, **user, repository=nowhere, ref=NEW)
    assert "service and owners are unchanged" in done.stderr, done.stderr
    assert host.root.stat().st_uid == os.getuid()
    done = host.run(FetchRequest, **user, ref=OLD, fetch=False)
    assert done.returncode == 0, done.stderr
    note = "stopping n.service, which runs as uid 0, until uid 4242 owns its files"
    assert (note in done.stdout.splitlines()) is stopped
    owners = {path: os.lstat(path).st_uid for path in host.root.rglob("*") if path.name != "groups"}
    assert {owners.pop(path) for path in (several, foreign)} == {0, 33}
    assert {uid for path, uid in owners.items() if "groups" not in path.parts} == {4242}
    assert owners[agents] == 4321


def test_linked_worktree_is_refused(host: Host, tmp_path: Path) -> None:
    """Its .git is a file that names a repository elsewhere."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(host.repository), str(clone)], check=True)
    subprocess.run(["git", "-C", str(clone), "worktree", "add", "--quiet", "--detach", str(host.root)], check=True)
    state = host.look(OLD)
    assert state.foreign[-1] == ".git"
    plan = local_plan()
    problem = checkout_problem(state, plan) or ""
    assert "/opt/nanoclaw is a linked worktree or a submodule" in problem and "git clone" in problem


@pytest.mark.parametrize(
    ("command", "works"),
    [
        (["git", "fetch"], True),
        (["git-remote-http"], True),
        (["git-index-pack"], True),
        (["git-upload-pack"], True),
        (["git", "fsmonitor--daemon", "run"], False),
        (["git", "credential-cache--daemon"], False),
        (["git", "credential-cache", "get"], False),
        (["git", "daemon", "--reuseaddr"], False),
        (["git", "instaweb"], False),
        (["gitstatusd"], False),
        (["git\udcff"], False),
    ],
)
def test_git_and_its_helpers_work_in_a_checkout_and_its_permanent_commands_do_not(
    command: list[str], works: bool, tmp_path: Path
) -> None:
    copy = tmp_path / command[0]
    shutil.copy2(os.path.realpath(sys.executable), copy)
    waits = "import time; print(flush=True); time.sleep(60)"
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    argv = [str(copy), "-c", waits, *command[1:]]
    (tmp_path / "root/sub").mkdir(parents=True)
    with subprocess.Popen(argv, cwd=tmp_path / "root/sub", stdout=subprocess.PIPE, env=environment) as running:
        try:
            assert running.stdout and running.stdout.readline() == b"\n"
            assert git_processes(str(tmp_path / "root")) == ([str(running.pid)] if works else [])
            assert git_processes(str(tmp_path / "roo")) == git_processes(str(tmp_path / "root/sub/x")) == []
        finally:
            running.kill()


@pytest.mark.parametrize("command", [["gitea"], ["git", "fsmonitor--daemon"], ["github-mcp-server"]])
def test_permanent_program_named_like_git_does_not_block(host: Host, tmp_path: Path, command: list[str]) -> None:
    host.check_out(OLD)
    waiting = tmp_path / "wait"
    waiting.write_text("import sys, time\nprint(flush=True)\ntime.sleep(60)\n")
    copy = tmp_path / "bin" / command[0]
    copy.parent.mkdir()
    shutil.copy2(os.path.realpath(sys.executable), copy)
    environment = {**os.environ, "PYTHONHOME": sys.base_prefix}
    argv = [str(copy), str(waiting), *command[1:]]
    running = subprocess.Popen(argv, cwd=host.root, stdout=subprocess.PIPE, env=environment)
    try:
        assert running.stdout and running.stdout.readline() == b"\n"
        assert Path(f"/proc/{running.pid}/comm").read_text().strip() == command[0][:15]
        done = host.fetch(NEW)
        assert done.returncode == 0, done.stderr
    finally:
        running.kill()
        running.wait()
