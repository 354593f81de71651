"""Each trait of a NanoClaw v1 on a disk has its disposition in the plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from files.pods.v1.v1_state import V1State
from tasks.facts import fact_of
from tasks.model.migration.plan import plan_migration
from tasks.model.migration.plan_item import Disposition, parts_with
from tasks.model.migration.refusals import plan_refusal, refusals
from tests.lab.v1_schema import Version
from tests.lab.v1_tree import TRAITS, make_tree, unit_text
from tests.unit.trees.trees import needs_root
from tests.unit.v1.test_v1_inspect import ask
from tests.unit.v1.v1_states import HOME, host

pytestmark = needs_root


def look(root: Path, version: Version, *traits: str) -> V1State:
    make_tree(root, version, traits)
    answer = ask(root)
    state = fact_of(V1State)().process([json.dumps(answer)])
    assert json.loads(json.dumps(state.document())) == answer
    return state


@pytest.mark.parametrize(
    ("trait", "disposition", "part"),
    [
        ("whatsapp", "needs_fix", "whatsapp"),
        ("whatsapp", "migrated", "group 120363000000000001@g.us"),
        ("telegram", "migrated", "group tg:-1001234567890"),
        ("telegram", "migrated", "task 1"),
        ("discord dm", "needs_fix", "task 1"),
        ("discord dm", "needs_fix", "group dc:1190000000000000001"),
        ("interval", "needs_fix", "task 1"),
        ("tasks", "migrated", "task 1"),
        ("tasks", "needs_fix", "task 2"),
        ("tasks", "skipped", "task 3"),
        ("link", "needs_fix", "link in groups"),
        ("link", "needs_fix", "link in data"),
        ("git", "needs_fix", ".git in groups"),
        ("git", "needs_fix", "memory in groups"),
        ("mounts", "needs_fix", "mounts tg:2002"),
        ("orphan", "skipped", "conversations forgotten"),
        ("conversations", "needs_fix", "conversations main"),
        ("silent", "migrated", "group tg:2222"),
        ("silent", "needs_fix", "first conversation silent"),
        ("skill", "needs_fix", "skills of groups"),
        ("wal", "needs_fix", "wal"),
        ("wal", "migrated", "group tg:3003"),
        ("journal", "needs_fix", "journal"),
    ],
)
def test_disposition_of_each_trait(tmp_path: Path, trait: str, disposition: Disposition, part: str) -> None:
    state = look(tmp_path / "claw", "1.2.53", trait)
    assert plan_refusal(state, host()) is None and state.install
    plan = plan_migration(state.install, state.spaces, host())
    assert part in parts_with(plan.items, disposition)
    assert list(refusals(state.install, plan, host(nanoclaw_v1_unknown_senders="strict"))) == []


def test_version_before_1_2_0_carries_only_files_by_itself(tmp_path: Path) -> None:
    state = look(tmp_path / "claw", "1.1.6", "telegram")
    assert state.install
    plan = plan_migration(state.install, state.spaces, host())
    assert parts_with(plan.items, "migrated") == {"files of groups", "env", "skills"}
    assert {"group tg:1001", "task 0", "conversations main"} <= parts_with(plan.items, "needs_fix")


@pytest.mark.parametrize(("trait", "part"), [("senders", "senders"), ("mounts", "mount allow-list")])
def test_allow_lists_come_from_the_home_of_the_unit(tmp_path: Path, trait: str, part: str) -> None:
    """The unit is where machines have theirs, in private mounts of the program."""
    root, home, unit = tmp_path / "claw", tmp_path / "home", tmp_path / "nanoclaw.service"
    make_tree(root, traits=[trait], home=home)
    unit.write_text(unit_text(root, home))
    there = f"mount -t tmpfs t /run && mkdir -p /run/systemd/system && cp {unit} /run/systemd/system"
    wrapped = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{there} && exec "$@"', "sh")
    state = fact_of(V1State)().process([json.dumps(ask(root, wrapped=wrapped))])
    assert state.install and state.install.home == str(home)
    assert [(one.manager, one.name, one.enabled) for one in state.install.units] == [("system", unit.name, False)]
    plan = plan_migration(state.install, state.spaces, host())
    assert {part, "system unit"} <= parts_with(plan.items, "needs_fix")


def test_each_trait_has_a_disposition() -> None:
    """Otherwise the lab could create a trait that no test checks."""
    marks = [mark for test in (test_disposition_of_each_trait,) for mark in getattr(test, "pytestmark", [])]
    tried = {case[0] for mark in marks if mark.name == "parametrize" for case in mark.args[1]}
    assert tried | {"senders"} == set(TRAITS)


def test_home_without_lists_has_none(tmp_path: Path) -> None:
    state = look(tmp_path / "claw", "1.2.53")
    assert state.install
    bare = replace(state.install, homes=[replace(HOME, path=str(tmp_path))])
    assert not {"senders", "mount allow-list"} & parts_with(
        plan_migration(bare, state.spaces, host()).items, "needs_fix"
    )
