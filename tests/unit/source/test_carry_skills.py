"""Skills of a staged checkout come to the project root with a switch, and a later move undoes them there."""

from __future__ import annotations

import shutil

import pytest

from files.pods.source.carry_skills import carry_skills
from files.pods.source.channel_undo import begin_channel
from files.pods.source.git_worktree import Tree
from files.pods.source.skill_documents import SkillRecord
from files.pods.source.skill_record import applied_files, finish_skills, local_changes, read_record, undo_skills
from files.pods.source.skill_record import written_files as written
from tests.unit.source.source_host import OLD, Host

BARREL, ADAPTER, GONE = "src/channels/index.js", "src/channels/slack/adapter.js", "src/breaker.js"


@pytest.fixture
def stage(host: Host) -> Tree:
    """A staged checkout with a skill, beside a project root of the same commit with a local change."""
    host.check_out(OLD)
    root = host.root.with_name("stage")
    shutil.copytree(host.root, root)
    tree = Tree(str(root))
    begin_channel(tree, "skills")
    before = local_changes(tree)
    (root / ADAPTER).parent.mkdir()
    (root / ADAPTER).write_text("export {};\n")
    (root / ADAPTER).chmod(0o755)
    (root / BARREL).write_text("import './slack/adapter.js';\n")
    (root / GONE).unlink()
    finish_skills(tree, SkillRecord(host.git("rev-parse", "HEAD"), None, None, ["slack"], written(tree, before)))
    (host.root / "src/log.js").write_text("// mine\n")
    (host.root / BARREL).write_text("// mine too\n")
    return tree


def test_skills_are_carried_over_and_undone_there(host: Host, stage: Tree) -> None:
    tree = Tree(str(host.root))
    for _again in range(2):
        carry_skills(stage, tree)
        assert (host.root / BARREL).read_text() == "import './slack/adapter.js';\n"
        assert (host.root / ADAPTER).stat().st_mode & 0o777 == 0o755 and not (host.root / GONE).exists()
        record = read_record(tree)
        assert record and record.channels == ["slack"] and set(record.files) == {BARREL, ADAPTER, GONE}
    assert applied_files(tree) == {ADAPTER, GONE}, "the operator has changed the other, too"
    undo_skills(tree)
    assert host.status == [f" M {BARREL}", " M src/log.js"] and (host.root / BARREL).read_text() == "// mine too\n"


def test_interrupted_carry_is_repeated(host: Host, stage: Tree) -> None:
    tree = Tree(str(host.root))
    begin_channel(tree, "skills")
    (host.root / GONE).unlink()
    carry_skills(stage, tree)
    undo_skills(tree)
    assert host.status == [f" M {BARREL}", " M src/log.js"]


def test_stage_without_skills_leaves_none(host: Host, stage: Tree) -> None:
    tree = Tree(str(host.root))
    carry_skills(stage, tree)
    undo_skills(stage)
    carry_skills(stage, tree)
    assert read_record(tree) is None and host.status == [f" M {BARREL}", " M src/log.js"]
