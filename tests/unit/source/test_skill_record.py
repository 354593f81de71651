"""What skills have changed in a checkout: it is undone before a move, and what an operator changed is not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from files.pods.source.channel_undo import NEXT_SKILLS, begin_channel, undo_channel
from files.pods.source.git_worktree import Tree
from files.pods.source.skill_documents import AppliedSkills, SkillRecord, WrittenFile
from files.pods.source.skill_record import (
    RECORD,
    applied_files,
    applied_skills,
    finish_skills,
    local_changes,
    read_record,
    undo_skills,
    written_files,
)
from tests.unit.source.source_host import NEW, OLD, Host

PACKAGE, BARREL, ADAPTER = "package.json", "src/channels/index.js", "src/channels/slack.js"
GUIDE = "container/skills/slack/SKILL.md"


def append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + text)


def apply(host: Host) -> Tree:
    """Write what a skill writes, and the record of it."""
    tree = Tree(str(host.root))
    begin_channel(tree, "skills")
    before = local_changes(tree)
    append(host.root / PACKAGE, "\n")
    append(host.root / BARREL, "import './slack.js';\n")
    append(host.root / ADAPTER, "export {};\n")
    append(host.root / GUIDE, "# slack\n")
    files = written_files(tree, before)
    finish_skills(tree, SkillRecord(host.git("rev-parse", "HEAD"), None, None, ["slack"], files))
    return tree


@pytest.fixture
def applied(host: Host) -> Tree:
    host.check_out(OLD)
    return apply(host)


def test_record_has_what_the_skill_has_written(host: Host, applied: Tree) -> None:
    record = read_record(applied)
    assert record and set(record.files) == {PACKAGE, BARREL, ADAPTER, GUIDE} == applied_files(applied)
    digest = hashlib.sha256(b"export {};\n").hexdigest()
    assert record.files[ADAPTER] == WrittenFile(digest) and record.channels == ["slack"]


def test_undo_leaves_the_commit_and_no_empty_directory(host: Host, applied: Tree) -> None:
    record = undo_skills(applied)
    assert record and record.channels == ["slack"]
    assert host.status == [] and not (host.root / GUIDE).parent.exists()
    assert undo_skills(applied) is None and applied_files(applied) == set()


def test_what_the_operator_changed_before_the_skill_comes_back(host: Host) -> None:
    host.check_out(OLD)
    mine = (host.root / PACKAGE).read_text() + "\n \n"
    (host.root / PACKAGE).write_text(mine)
    (host.root / "src/log.js").write_text("// mine\n")
    tree = apply(host)
    assert applied_files(tree) == {BARREL, ADAPTER, GUIDE}, "package.json is a local change also without the skill"
    host.git("gc", "--quiet", "--prune=now")
    undo_skills(tree)
    assert (host.root / PACKAGE).read_text() == mine and host.status == [f" M {PACKAGE}", " M src/log.js"]
    assert host.git("for-each-ref", "refs/nanoclaw-pods-skills/") == ""


def test_what_the_operator_changed_after_the_skill_stays(host: Host, applied: Tree) -> None:
    append(host.root / PACKAGE, " \n")
    assert applied_files(applied) == {BARREL, ADAPTER, GUIDE}
    undo_skills(applied)
    assert host.status == [f" M {PACKAGE}"]
    assert (host.root / PACKAGE).read_text().endswith("\n\n \n")


def test_interrupted_undo_is_repeated(host: Host, applied: Tree) -> None:
    host.git("checkout", "--quiet", "--", PACKAGE)
    (host.root / ADAPTER).unlink()
    undo_skills(applied)
    assert host.status == []


def test_move_undoes_what_skills_have_changed(host: Host, applied: Tree) -> None:
    assert host.fetch(NEW).returncode == 0
    assert host.look(NEW).changed == [], "package.json differs in the new release, and here by a skill alone"
    done = host.move(NEW)
    assert done.returncode == 0, done.stderr
    assert host.head == NEW and host.status == [] and read_record(applied) is None


def test_move_is_refused_for_what_the_operator_changed(host: Host, applied: Tree) -> None:
    append(host.root / PACKAGE, " \n")
    assert host.fetch(NEW).returncode == 0
    assert host.look(NEW).changed == [PACKAGE]
    assert PACKAGE in host.move(NEW).stderr and host.head == OLD


@pytest.mark.parametrize("text", ["", "[]", '{"commit": 1}', "{", '{"commit": "a"}'])
def test_damaged_record_is_none(host: Host, applied: Tree, text: str) -> None:
    (host.root / ".git" / RECORD).write_text(text)
    assert read_record(applied) is None and applied_files(applied) == set() and undo_skills(applied) is None


def test_power_cut_leaves_the_old_record_or_the_new_one(host: Host, applied: Tree) -> None:
    old = read_record(applied)
    begin_channel(applied, "skills")
    (host.root / ADAPTER).write_text("export const next = 1;\n")
    new = (host.root / ".git" / RECORD).read_text().replace('"slack"', '"teams"')
    (host.root / ".git" / NEXT_SKILLS).write_text(new)
    assert read_record(applied) == old, "the install is not at its end"
    undo_channel(applied)
    assert read_record(applied) == old and applied_files(applied) == {PACKAGE, BARREL, ADAPTER, GUIDE}
    (host.root / ".git" / NEXT_SKILLS).write_text(new)
    record = read_record(applied)
    assert record and record.channels == ["teams"]
    undo_skills(applied)
    assert read_record(applied) is None and host.status == []


def test_record_is_complete_while_its_files_are_there(host: Host, applied: Tree) -> None:
    head = host.git("rev-parse", "HEAD")
    assert applied_skills(applied) == AppliedSkills(head, None, None, ["slack"], True)
    (host.root / ADAPTER).rename(host.root / "aside")
    state = applied_skills(applied)
    assert state and not state.complete
    (host.root / "aside").rename(host.root / ADAPTER)
    begin_channel(applied, "skills")
    state = applied_skills(applied)
    assert state and not state.complete
