"""What a power cut, an operator or an agent leaves in a project root does not break the way back from a switch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from files.pods.source import stage, switch_to_stage
from files.pods.source.git_worktree import MOVING, STAMP, Tree
from files.pods.source.stage_place import place_of, stage_of
from files.pods.source.staging_protocol import StageRequest, SwitchToStageRequest
from tests.unit.source.source_host import NEW, OLD, Host
from tests.unit.source.test_stage import STASH, Killed, built, content, new_commit

AGENTS = "groups/main/CLAUDE.md"


@pytest.fixture
def running(host: Host) -> Host:
    """A built checkout of the old version with local changes; the new one is fetched."""
    host.check_out(OLD)
    built(host.root, "old")
    (host.root / "src/index.js").write_text("// mine\n")
    (host.root / "src/added.js").write_text("// mine too\n")
    (host.root / ".env").write_text("TOKEN=1\n")
    (host.root / ".env").chmod(0o640)
    assert host.fetch(NEW).returncode == 0
    return host


def staged(host: Host, stash: str | None = None) -> tuple[str, str]:
    """Stage the new version and leave what its build leaves; return the project root and the commit."""
    root, commit = str(host.root), new_commit(host)
    place = Path(place_of(root))
    place.mkdir(mode=0o700, exist_ok=True)
    stage.main(root, commit, stash)
    built(Path(stage_of(root)), "new")
    return root, commit


def with_package_changed(host: Host) -> None:
    with (host.root / "package.json").open("a") as file:
        file.write("\n\n")


class Counted:
    """Ends the program before its nth system call that others can see, or right after its git."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self.left, self.patch = 0, -1, monkeypatch
        for module, name in (
            (Tree, "run"),
            (os, "rename"),
            (os, "unlink"),
            (switch_to_stage, "replace"),
            (Tree, "begin"),
            (Tree, "end"),
        ):
            monkeypatch.setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, real: Any) -> Any:
        def act(*args: Any, **more: Any) -> Any:
            self.tick()
            result = real(*args, **more)
            if real.__name__ == "run":
                self.tick()
            return result

        return act

    def tick(self) -> None:
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= 1 if self.left > 0 else 0

    def ends(self, number: int, work: Any) -> bool:
        """Run `work` up to an action; return whether it came to its end."""
        self.left = number
        try:
            work()
            return True
        except Killed:
            return False
        finally:
            self.left = -1


@pytest.mark.parametrize("stash", [None, STASH])
def test_switch_killed_at_any_action_goes_on(
    running: Host, stash: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also with the locks that a killed git leaves."""
    if stash:
        with_package_changed(running)
    root, commit = staged(running, stash)
    before = content(running)
    switch_to_stage.forward(root, commit, stash)
    after = content(running)
    switch_to_stage.back(root)
    assert content(running) == before
    counted, number = Counted(monkeypatch), 0
    while not counted.ends(number, lambda: switch_to_stage.forward(root, commit, stash)):
        (running.root / ".git/index.lock").touch()
        switch_to_stage.forward(root, commit, stash)
        now = content(running)
        assert {**now, "stash": ""} == {**after, "stash": ""}, number
        assert not (running.root / ".git" / MOVING).exists(), number
        switch_to_stage.back(root)
        assert content(running) == before, number
        number += 3
    assert number > 20


@pytest.mark.parametrize("stash", [None, STASH])
def test_way_back_killed_at_any_action_is_finished(
    running: Host, stash: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stash:
        with_package_changed(running)
    root, commit = staged(running, stash)
    before = content(running)
    counted, number = Counted(monkeypatch), 0
    while True:
        switch_to_stage.forward(root, commit, stash)
        if counted.ends(number, lambda: switch_to_stage.back(root)):
            break
        (running.root / ".git/index.lock").touch()
        switch_to_stage.back(root)
        assert content(running) == before, number
        number += 3
    assert number > 20 and content(running) == before


def test_way_back_finishes_files_that_an_earlier_one_half_wrote(running: Host) -> None:
    root, commit = staged(running)
    before = content(running)
    switch_to_stage.forward(root, commit, None)
    (running.root / ".git" / MOVING).write_text(commit)
    (running.root / "src/config.js").write_text(running.git("show", f"{OLD}:src/config.js")[:-5])
    switch_to_stage.back(root)
    assert content(running) == before


def test_stash_that_was_made_in_two_parts_comes_back_whole(running: Host) -> None:
    """As if git had been ended after it wrote a stash, and before it had reset all files."""
    with_package_changed(running)
    root, commit = staged(running, STASH)
    before = content(running)
    everything = {name: (running.root / name).read_text() for name in ("src/index.js", "src/added.js", "package.json")}
    switch_to_stage.begin_switch(Tree(root), commit, STASH)
    Tree(root).begin(running.git("rev-parse", "HEAD"))
    running.git("stash", "push", "--quiet", "--include-untracked", "--message", STASH)
    for name in ("src/added.js", "package.json"):
        (running.root / name).write_text(everything[name])
    switch_to_stage.forward(root, commit, STASH)
    assert running.git("stash", "list").count(STASH) == 2
    switch_to_stage.back(root)
    assert content(running) == before


@pytest.mark.parametrize("stash", [None, STASH])
def test_change_that_the_new_version_has_too_survives_the_way_back(running: Host, stash: str | None) -> None:
    if stash:
        with_package_changed(running)
    (running.root / "src/config.js").write_text(running.git("show", f"{NEW}:src/config.js") + "\n")
    root, commit = staged(running, stash)
    before = content(running)
    switch_to_stage.forward(root, commit, stash)
    switch_to_stage.back(root)
    assert content(running) == before
    assert " M src/config.js" in running.status


@pytest.mark.parametrize("text", [None, "", "composed\n"])
def test_agents_file_stays_as_the_agent_left_it(running: Host, text: str | None) -> None:
    """Before the switch, and since."""
    running.release("v9.0.0", {AGENTS: "of the new version\n"})
    assert running.fetch("v9.0.0").returncode == 0
    commit = running.git("rev-parse", "v9.0.0^{commit}")
    root, path = str(running.root), running.root / AGENTS

    def leave() -> None:
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)

    def there() -> str | None:
        return path.read_text() if path.exists() else None

    Path(place_of(root)).mkdir(mode=0o700)
    for at in ("before", "since"):
        running.git("checkout", "--quiet", "--", AGENTS)
        if at == "before":
            leave()
        stage.main(root, commit, None)
        built(Path(stage_of(root)), "new")
        switch_to_stage.forward(root, commit, None)
        if at == "since":
            assert there() == "of the new version\n"
            leave()
        switch_to_stage.back(root)
        assert there() == text, at


def test_stage_without_a_build_is_not_switched_to(running: Host) -> None:
    root, commit = staged(running)
    (Path(stage_of(root)) / STAMP).unlink()
    before = content(running)
    done = running.run(SwitchToStageRequest, commit=commit)
    assert done.returncode == 1 and "but not built there" in done.stderr
    assert content(running) == before


def test_nothing_is_staged_while_a_switch_is_undecided(running: Host) -> None:
    root, commit = staged(running)
    before = content(running)
    switch_to_stage.forward(root, commit, None)
    done = running.run(StageRequest, commit=commit)
    assert done.returncode == 1 and "undecided" in done.stderr
    switch_to_stage.back(root)
    assert content(running) == before


def test_record_that_a_committed_switch_has_left_ends_no_staging(running: Host, tmp_path: Path) -> None:
    """The machine may stop between the commit and the end of its stage."""
    root, commit = staged(running)
    switch_to_stage.forward(root, commit, None)
    marker = tmp_path / "committed"
    assert running.run(StageRequest, commit=commit, marker=str(marker)).returncode == 1
    marker.touch()
    assert running.run(StageRequest, commit=commit, marker=str(marker)).returncode == 0
    after = content(running)
    switch_to_stage.back(root)
    assert content(running) == after


def test_stage_that_a_power_cut_broke_is_made_again(running: Host) -> None:
    root, commit = staged(running)
    repository = Path(stage_of(root)) / ".git"
    for name, text in (("index.lock", ""), ("HEAD", ""), ("index", "DIRC"), (MOVING, "")):
        (repository / name).write_text(text)
        assert running.run(StageRequest, commit=commit).returncode == 0, name
        assert Tree(stage_of(root)).commit("HEAD") == commit, name


def test_branch_and_rights_of_env_come_back(running: Host) -> None:
    running.git("checkout", "--quiet", "-b", "mine")
    root, commit = staged(running)
    switch_to_stage.forward(root, commit, None)
    (running.root / ".env").write_text("TOKEN=2\n")
    switch_to_stage.back(root)
    assert running.git("symbolic-ref", "HEAD") == "refs/heads/mine"
    assert (running.root / ".env").read_text() == "TOKEN=1\n"
    assert (running.root / ".env").stat().st_mode & 0o777 == 0o640


def test_env_that_is_a_link_stays_one(running: Host) -> None:
    (running.root / ".env").rename(running.root.parent / "env")
    (running.root / ".env").symlink_to("../env")
    root, commit = staged(running)
    switch_to_stage.forward(root, commit, None)
    switch_to_stage.back(root)
    assert (running.root / ".env").readlink() == Path("../env")


@pytest.mark.parametrize("name", ["node_modules", "dist", "."])
def test_mount_in_the_project_root_ends_no_switch(running: Host, name: str) -> None:
    """rename(2) fails with EXDEV between two mounts of one file system, and with EBUSY for a mount point."""
    point = os.path.normpath(running.root / name)
    code = (
        "import sys; from files.pods.source.stage_place import check_renames, make_place, place_of; "
        "root = sys.argv[1]; make_place(root, (0, 0)); check_renames(root); print(place_of(root))"
    )
    script = 'mount --bind "$2" "$2" && exec "$0" -c "$1" "$3"'
    argv = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, sys.executable, code, point, str(running.root)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if name == ".":
        assert done.stdout == f"{running.root}/.git/nanoclaw-pods-stage\n", done.stderr
    else:
        assert f"{point} is on another mount" in done.stderr and done.returncode == 1
