"""Texts and lists of a checkout that somebody else has written are cut before they are shown."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from files.pods.source import tmp_leftovers
from files.pods.source.central_database import COPIES, copies, migrations
from files.pods.source.git_worktree import Tree
from files.pods.source.protocol import Needs
from files.pods.source.version_files import VersionFiles, first_number, read_needs
from files.pods.source.version_state import unmarked
from tests.unit.source.source_host import OLD, Host


def needs_of(host: Host, **package: object) -> Needs:
    (host.root / "package.json").write_text(json.dumps(package))
    tree = Tree(str(host.root))
    head = tree.commit("HEAD")
    assert head
    needs = read_needs(VersionFiles(tree, head, head))
    assert needs
    return needs


def test_long_texts_of_a_package_file_are_cut(host: Host) -> None:
    host.check_out(OLD)
    needs = needs_of(host, version="2" * 61, engines={"node": ">" * 201})
    assert (needs.version, needs.node) == ("2" * 60, ">" * 200)
    needs = needs_of(host, version=2, engines={"node": ""})
    assert (needs.version, needs.node) == ("2", None)


@pytest.mark.parametrize(
    ("spec", "number"),
    [("^11.2.3", 11), (">=13", 13), ("latest", None), ("", None), (None, None), (4, 4), ("1234567", 123456)],
)
def test_major_version_is_the_first_number_of_a_dependency(spec: object, number: int | None) -> None:
    assert first_number(spec) == number


@pytest.mark.parametrize(("sdk", "api"), [("^0.9.0", False), ("^1.0.0", True), (None, False), ("workspace:*", False)])
def test_version_needs_onecli_from_its_first_api_on(host: Host, sdk: str | None, api: bool) -> None:
    host.check_out(OLD)
    assert needs_of(host, version="2", dependencies={"@onecli-sh/sdk": sdk}).api is api


def test_long_version_of_a_marker_is_cut(host: Host) -> None:
    host.check_out(OLD)
    (host.root / "data/upgrade-state.json").write_text(json.dumps({"version": "x" * 61}))
    why = unmarked(Tree(str(host.root)), "2.0.64")
    assert why == f"data/upgrade-state.json is of {'x' * 60}, and 2.0.64 is checked out"


def test_applied_migrations_are_few_and_short(tmp_path: Path) -> None:
    path = tmp_path / "v2.db"
    names = ["x" * 201, "zero\0byte", *(f"m{number}" for number in range(600))]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE schema_version (name)")
        assert migrations(str(path)) == []
        database.executemany("INSERT INTO schema_version VALUES (?)", [(name,) for name in names])
    assert migrations(str(path)) == ["x" * 200, *(f"m{number}" for number in range(498))]
    with closing(sqlite3.connect(tmp_path / "other.db")) as database, database:
        database.execute("CREATE VIEW schema_version AS SELECT 'forged' AS name")
    assert migrations(str(tmp_path / "other.db")) == []


def test_copy_is_listed_only_with_a_description_and_that_is_cut(tmp_path: Path) -> None:
    place = tmp_path / COPIES
    assert copies(str(tmp_path)) == []
    place.mkdir(parents=True)
    whole = {"commit": "c" * 61, "version": "v" * 61, "made": 3, "migrations": [1, "two"]}
    described = {"a": whole, "newer": {**whole, "made": "4.5"}, "odd": {**whole, "made": "today"}, "list": []}
    described["less"] = {key: whole[key] for key in ("commit", "version", "made")}
    for name, content in described.items():
        (place / f"{name}.db").touch()
        (place / f"{name}.db.json").write_text(json.dumps(content))
    (place / "alone.db").touch()
    (place / "other.json").write_text(json.dumps(whole))
    listed = copies(str(tmp_path))
    assert [(each["file"], each["made"]) for each in listed] == [("newer.db", 4.5), ("a.db", 3.0)]
    assert listed[1]["commit"] == "c" * 60 and listed[1]["version"] == "v" * 60
    assert listed[1]["migrations"] == ["1", "two"]


def test_few_of_many_foreign_entries_are_named(tmp_path: Path) -> None:
    for name in (".git", "data", "groups", "lost+found", *(f"f{number:02}" for number in range(11))):
        (tmp_path / name).mkdir()
    assert Tree(str(tmp_path)).foreign() == [f"f{number:02}" for number in range(10)]


def test_of_many_leftovers_a_hundred_go_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tmp_leftovers, "TMP", str(tmp_path))
    for number in range(101):
        (tmp_path / f"onecli-{number:03}.pem").touch()
    assert tmp_leftovers.leftovers(os.getuid()) == [f"{tmp_path}/onecli-{number:03}.pem" for number in range(100)]
    assert tmp_leftovers.leftovers(None) == []
