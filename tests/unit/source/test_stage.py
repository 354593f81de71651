"""A version is staged beside the project root, which switches to it and back, wherever either is interrupted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from files.pods.source import build as source_build
from files.pods.source import build_stage, stage_place, switch_commit, switch_to_stage, undo_move
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.stage_place import kept_of, place_of, stage_of
from files.pods.source.staging_protocol import RemoveStageRequest, StageRequest, SwitchToStageRequest
from files.pods.source.version_state import MARKER
from tests.unit.source.source_host import NEW, OLD, Host

STASH = "before the new version"


@pytest.fixture
def running(host: Host) -> Host:
    """A built checkout of the old version with a changed and an added file; the new one is fetched."""
    host.check_out(OLD)
    built(host.root, "old")
    (host.root / MARKER).parent.mkdir(exist_ok=True)
    (host.root / MARKER).write_text('{"version": "2.0.64"}\n')
    with (host.root / "src/index.js").open("a") as file:
        file.write("// mine\n")
    (host.root / "src/added.js").write_text("// mine too\n")
    (host.root / ".env").write_text("TOKEN=1\n")
    assert host.fetch(NEW).returncode == 0
    return host


def built(root: Path, version: str) -> None:
    """Leave what a build leaves."""
    for name in ("node_modules", "dist"):
        (root / name).mkdir(exist_ok=True)
        (root / name / "index.js").write_text(version)
    (root / STAMP).write_text(version)


def new_commit(host: Host) -> str:
    return host.git("rev-parse", f"{NEW}^{{commit}}")


def staged(host: Host) -> str:
    """Stage the new version, and build it; return its commit."""
    commit = new_commit(host)
    done = host.run(StageRequest, commit=commit)
    assert done.returncode == 0, done.stderr
    built(Path(stage_of(str(host.root))), "new")
    return commit


def content(host: Host) -> dict[str, str]:
    """Return every file of the project root with its content, and what git says of it."""
    files = {
        str(path.relative_to(host.root)): path.read_text(errors="replace")
        for path in sorted(host.root.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(host.root).parts
    }
    stamp = host.root / STAMP
    head = {"HEAD": host.head, "status": "\n".join(host.status), "stash": host.git("stash", "list")}
    return {**files, **head, "stamp": stamp.read_text() if stamp.exists() else ""}


def test_stage_has_the_new_version_with_the_local_changes(running: Host) -> None:
    before = content(running)
    commit = staged(running)
    there = Path(stage_of(str(running.root)))
    assert Tree(str(there)).commit("HEAD") == commit
    assert "2.0.65" in (there / "package.json").read_text()
    assert (there / "src/index.js").read_text().endswith("// mine\n") and (there / "src/added.js").exists()
    assert not (there / ".env").exists() and not (there / "data/upgrade-state.json").exists()
    assert content(running) == before


def test_stage_follows_the_project_root_and_keeps_its_build(running: Host) -> None:
    staged(running)
    there = Path(stage_of(str(running.root)))
    (running.root / "src/added.js").unlink()
    (running.root / "src/later.js").symlink_to("index.js")
    (there / "src/rubbish.js").write_text("x")
    assert running.run(StageRequest, commit=new_commit(running)).returncode == 0
    assert not (there / "src/added.js").exists() and not (there / "src/rubbish.js").exists()
    assert (there / "src/later.js").readlink() == Path("index.js")
    assert (there / "dist/index.js").read_text() == "new"


def test_change_that_is_in_the_way_ends_the_staging(running: Host) -> None:
    with (running.root / "package.json").open("a") as file:
        file.write("\n\n")
    done = running.run(StageRequest, commit=new_commit(running))
    assert done.returncode != 0 and "changed on this machine and in the new version: package.json" in done.stderr
    assert running.head == OLD


@pytest.mark.parametrize("stash", [None, STASH])
def test_switch_and_the_way_back(running: Host, stash: str | None) -> None:
    if stash:
        with (running.root / "package.json").open("a") as file:
            file.write("\n\n")
    commit, before = new_commit(running), content(running)
    assert running.run(StageRequest, commit=commit, stash=stash).returncode == 0
    built(Path(stage_of(str(running.root))), "new")
    done = running.run(SwitchToStageRequest, commit=commit, stash=stash)
    assert done.returncode == 0, done.stderr
    assert (running.head, running.version) == (NEW, "2.0.65")
    assert (running.root / "dist/index.js").read_text() == "new" and (running.root / STAMP).read_text() == "new"
    (running.root / MARKER).write_text('{"version": "2.0.65"}\n')
    (running.root / ".env").write_text("TOKEN=1\nNANOCLAW_GATEWAY_PROVIDER=onecli\n")
    done = running.run(SwitchToStageRequest, commit=commit, stash=stash, back=True)
    assert done.returncode == 0, done.stderr
    assert content(running) == before


def test_way_back_without_a_switch_changes_nothing(running: Host) -> None:
    before = content(running)
    staged(running)
    assert running.run(SwitchToStageRequest, commit=new_commit(running), back=True).returncode == 0
    assert content(running) == before


def test_what_was_not_staged_is_not_switched_to(running: Host) -> None:
    before = content(running)
    done = running.run(SwitchToStageRequest, commit=new_commit(running))
    assert done.returncode != 0 and "is not staged" in done.stderr
    assert content(running) == before


def test_nothing_of_a_stage_is_left(running: Host) -> None:
    commit = staged(running)
    assert running.run(SwitchToStageRequest, commit=commit).returncode == 0
    after = content(running)
    assert running.run(RemoveStageRequest).returncode == 0
    assert not Path(place_of(str(running.root))).exists()
    assert running.run(SwitchToStageRequest, commit=commit, back=True).returncode == 0
    assert content(running) == after


class Killed(BaseException):
    """The end of the program, at a chosen action."""


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], list[str]]]:
    """Return a function that ends the program before its nth action; the list has the actions so far."""

    def arm(number: int) -> list[str]:
        actions: list[str] = []

        def counted(name: str, real: Callable[..., object]) -> Callable[..., object]:
            def act(*args: object, **more: object) -> object:
                if len(actions) == number:
                    raise Killed
                actions.append(name)
                return real(*args, **more)

            return act

        for module, name in (
            (switch_to_stage, "replace"),
            (switch_to_stage, "rename"),
            (switch_to_stage, "keep_database"),
            (switch_to_stage, "restore_stash"),
            (undo_move, "run"),
            (switch_commit, "run"),
        ):
            monkeypatch.setattr(module, name, counted(name, REAL[name]))
        return actions

    yield arm


REAL: dict[str, Callable[..., object]] = {
    name: getattr(switch_to_stage, name) for name in ("replace", "rename", "keep_database", "restore_stash", "run")
}


@pytest.mark.parametrize("stash", [None, STASH])
def test_interrupted_switch_goes_back_and_on(
    running: Host, killed_at: Callable[[int], list[str]], stash: str | None
) -> None:
    """After a kill before each action of a switch, the way back ends at the start; and the switch can be made again."""
    if stash:
        with (running.root / "package.json").open("a") as file:
            file.write("\n\n")
    root, commit, before = str(running.root), new_commit(running), content(running)
    assert running.run(StageRequest, commit=commit, stash=stash).returncode == 0
    built(Path(stage_of(root)), "new")
    number = 0
    while True:
        actions = killed_at(number)
        try:
            switch_to_stage.forward(root, commit, stash)
            break
        except Killed:
            killed_at(10_000)
        remove_locks(running)
        switch_to_stage.back(root)
        assert content(running) == before, f"killed after {actions}"
        number += 1
    assert number > 8 and (running.head, running.version) == (NEW, "2.0.65")


def test_interrupted_way_back_is_finished(running: Host, killed_at: Callable[[int], list[str]]) -> None:
    root, before, commit = str(running.root), content(running), staged(running)
    number = 0
    while True:
        killed_at(10_000)
        switch_to_stage.forward(root, commit, None)
        actions = killed_at(number)
        try:
            switch_to_stage.back(root)
            break
        except Killed:
            killed_at(10_000)
        remove_locks(running)
        switch_to_stage.back(root)
        assert content(running) == before, f"killed after {actions}"
        number += 1
    assert number > 5 and content(running) == before


def remove_locks(host: Host) -> None:
    (host.root / ".git/index.lock").unlink(missing_ok=True)


def test_place_is_a_sibling_of_the_project_root(running: Host) -> None:
    root = str(running.root)
    assert Path(place_of(root)).parent == running.root.parent
    assert {Path(path).parent for path in (kept_of(root), stage_of(root))} == {Path(place_of(root))}


def test_project_root_on_a_file_system_of_its_own_has_the_stage_inside(
    running: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_place, "mount_of", lambda path: (path, "ext4"))
    assert place_of(str(running.root)) == f"{running.root}/.git/nanoclaw-pods-stage"


def test_place_of_somebody_else_ends_the_staging(running: Host) -> None:
    place = Path(place_of(str(running.root)))
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    done = running.run(StageRequest, commit=new_commit(running))
    assert done.returncode != 0 and "writable by others" in done.stderr


def test_stage_borrows_objects_and_copies_none(running: Host) -> None:
    staged(running)
    count = subprocess.run(
        ["git", "-C", stage_of(str(running.root)), "count-objects", "-v"], check=True, capture_output=True, text=True
    ).stdout
    assert "in-pack: 0" in count


def test_stage_is_built_once_for_the_same_sources(running: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(running)
    there, builds = Path(stage_of(str(running.root))), []

    def build(root: str, source: dict[str, str | None]) -> None:
        builds.append(source["node"])
        (Path(root) / STAMP).write_text(json.dumps(source))

    monkeypatch.setattr(source_build, "main", build)
    for node in ("22", "22", "24"):
        build_stage.main(str(running.root), node)
    assert builds == ["22", "24"]
    (there / "pnpm-lock.yaml").write_text("another\n")
    build_stage.main(str(running.root), "24")
    (there / "dist/index.js").unlink()
    build_stage.main(str(running.root), "24")
    assert builds == ["22", "24", "24", "24"]
