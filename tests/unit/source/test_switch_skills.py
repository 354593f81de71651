"""A switch brings the skills of the stage, and its way back those of the version before, wherever it is interrupted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.atomic_write import replace
from files.pods.source import skill_record, stage, switch_to_stage
from files.pods.source.channel_undo import begin_channel
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.skill_documents import SkillRecord
from files.pods.source.skill_record import applied_files, finish_skills, local_changes, read_record, written_files
from files.pods.source.stage_place import place_of, stage_of
from files.pods.source.switch_skills import NEW_ENTRIES
from tests.unit.source.source_host import OLD, Host
from tests.unit.source.test_stage import built, content, new_commit
from tests.unit.source.test_switch_accidents import Counted

BARREL, ADAPTER, GONE, PACKAGE = "src/channels/index.js", "src/channels/slack.js", "src/breaker.js", "package.json"


def apply(root: Path, name: str) -> None:
    """Leave what a skill writes in a checkout."""
    tree = Tree(str(root))
    begin_channel(tree, "skills")
    before = local_changes(tree)
    (root / ADAPTER).write_text(f"// of {name}\n")
    with (root / BARREL).open("a") as file:
        file.write("import './slack.js';\n")
    (root / PACKAGE).write_text((root / PACKAGE).read_text().rstrip() + "\n// slack\n")
    (root / GONE).unlink(missing_ok=True)
    files = written_files(tree, before)
    finish_skills(tree, SkillRecord(tree.commit("HEAD") or "", None, None, ["slack"], files))
    built(root, name)


@pytest.fixture
def running(host: Host) -> Host:
    """A built checkout of the old version with a skill and local changes, one of them in a file of the skill."""
    host.check_out(OLD)
    (host.root / "src/index.js").write_text("// mine\n")
    (host.root / BARREL).write_text((host.root / BARREL).read_text() + "// mine\n")
    (host.root / ".env").write_text("TOKEN=1\n")
    apply(host.root, "old")
    assert host.fetch("v2.0.65").returncode == 0
    return host


def staged(host: Host, stash: str | None = None, *, skill: bool = True) -> tuple[str, str]:
    root, commit = str(host.root), new_commit(host)
    Path(place_of(root)).mkdir(mode=0o700, exist_ok=True)
    stage.main(root, commit, stash)
    there = Path(stage_of(root))
    built(there, "new")
    if skill:
        apply(there, "new")
        (there / ".git" / NEW_ENTRIES).write_text('{"URL": "http://10.0.0.1"}')
    return root, commit


def record_of(host: Host) -> tuple[str, dict[str, Any]]:
    record = read_record(Tree(str(host.root)))
    assert record
    return record.commit, record.files


def test_stage_has_local_changes_and_no_skill_of_the_old_version(running: Host) -> None:
    root, _ = staged(running, skill=False)
    there = Path(stage_of(root))
    assert not (there / ADAPTER).exists() and (there / GONE).exists()
    assert (there / "src/index.js").read_text() == "// mine\n"
    assert "slack" not in (there / PACKAGE).read_text() and "slack" not in (there / BARREL).read_text()
    assert (there / BARREL).read_text().endswith("// mine\n")
    assert Tree(str(there)).ask("config", "remote.origin.url") == str(running.repository)


def test_skills_of_the_stage_take_the_place_of_the_old_ones(running: Host) -> None:
    root, commit = staged(running)
    before, record = content(running), record_of(running)
    for _ in range(2):
        switch_to_stage.forward(root, commit, None)
        assert (running.root / ADAPTER).read_text() == "// of new\n" and not (running.root / GONE).exists()
        package = (running.root / PACKAGE).read_text()
        assert "2.0.65" in package and package.endswith("// slack\n")
        assert (running.root / STAMP).read_text() == "new"
        assert record_of(running)[0] == commit and ADAPTER in applied_files(Tree(root))
        assert (running.root / ".env").read_text() == "TOKEN=1\nURL=http://10.0.0.1\n"
    switch_to_stage.back(root)
    assert content(running) == before and record_of(running) == record
    skill_record.undo_skills(Tree(root))
    assert running.status == [f" M {BARREL}", " M src/index.js"], "as before the skill"


def test_version_without_the_skills_has_none_of_the_old_ones(running: Host) -> None:
    root, commit = staged(running, skill=False)
    before = content(running)
    switch_to_stage.forward(root, commit, None)
    assert read_record(Tree(root)) is None and not (running.root / ADAPTER).exists()
    assert "slack" not in (running.root / PACKAGE).read_text()
    switch_to_stage.back(root)
    assert content(running) == before


def test_file_of_a_skill_that_somebody_changed_meanwhile_stays(running: Host) -> None:
    root, commit = staged(running)
    switch_to_stage.forward(root, commit, None)
    (running.root / GONE).write_text("// written since\n")
    switch_to_stage.back(root)
    assert (running.root / GONE).read_text() == "// written since\n"
    assert (running.root / ADAPTER).read_text() == "// of old\n"


class CountedRenames(Counted):
    """Counts what skills write, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        monkeypatch.setattr(skill_record, "replace", self.counted(replace))


@pytest.mark.parametrize("way", ["forward", "back"])
def test_switch_with_skills_that_is_killed_at_any_action_goes_back_and_on(
    running: Host, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    root, commit = staged(running)
    before, record = content(running), record_of(running)
    switch_to_stage.forward(root, commit, None)
    after = content(running)
    switch_to_stage.back(root)
    counted, number = CountedRenames(monkeypatch), 0
    work = (
        partial(switch_to_stage.forward, root, commit, None)
        if way == "forward"
        else partial(switch_to_stage.back, root)
    )
    while True:
        if way == "back":
            switch_to_stage.forward(root, commit, None)
        ended = counted.ends(number, work)
        (running.root / ".git/index.lock").touch()
        if way == "forward" and number % 2:
            switch_to_stage.forward(root, commit, None)
            assert content(running) == after, number
        switch_to_stage.back(root)
        assert content(running) == before and record_of(running) == record, number
        (running.root / ".git/index.lock").unlink(missing_ok=True)
        if ended:
            break
        number += 7
    assert number > 40
