"""Files of v1 beside its database: what they say, and what cannot be known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from files.pods.v1 import files
from files.pods.v1.snapshot_dir import kind_of
from files.pods.v1.v1_state import Mounts, Senders
from tests.unit.trees.trees import A, needs_root


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('{"version": "1.2.53"}', "1.2.53"),
        ('{"version" : "2.0.0-rc.1"}', "2.0.0-rc.1"),
        ('{"version": "1.\\u001b"}', "1.\\u001b"),
        (f'{{"version": "1{"0" * 30}"}}', f"1{'0' * 30}"),
        (f'{{"version": "1{"0" * 31}"}}', None),
        ('{"version": "latest"}', None),
        ("{", None),
    ],
)
def test_version_is_the_one_of_package_json(tmp_path: Path, text: str, version: str | None) -> None:
    assert files.version_of(str(tmp_path)) is None
    (tmp_path / "package.json").write_text(text)
    assert files.version_of(str(tmp_path)) == version


def test_directories_are_listed_without_links_and_files(tmp_path: Path) -> None:
    (tmp_path / "groups/b").mkdir(parents=True)
    (tmp_path / "groups/a").mkdir()
    (tmp_path / "groups/file").touch()
    (tmp_path / "groups/link").symlink_to("a")
    (tmp_path / "linked").symlink_to("groups")
    assert files.folders_in(f"{tmp_path}/groups") == ["a", "b"]
    assert files.names_in(f"{tmp_path}/groups") == ["a", "b", "file", "link"]
    assert files.names_in(f"{tmp_path}/linked") == files.names_in(f"{tmp_path}/none") == []


def test_conversations_are_the_files_of_sessions(tmp_path: Path) -> None:
    place = tmp_path / "data/sessions/main/.claude/projects/-workspace-group"
    place.mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl", "c.json", "d.jsonl.bak"):
        (place / name).touch()
    assert files.conversations(str(tmp_path), "main") == 2
    assert files.conversations(str(tmp_path), "other") == 0


def test_env_that_cannot_be_read_is_unknown_and_not_empty(tmp_path: Path) -> None:
    assert files.env_of(str(tmp_path)) == {"env": [], "env_unread": []}
    (tmp_path / ".env").write_text("TZ=Europe/Oslo\nexport A=1\n")
    assert files.env_of(str(tmp_path)) == {"env": ["TZ"], "env_unread": [2]}
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").symlink_to("/etc/passwd")
    assert files.env_of(str(tmp_path)) == {"env": None, "env_unread": []}


ALLOWED = ".config/nanoclaw/mount-allowlist.json"
SENDERS = ".config/nanoclaw/sender-allowlist.json"


def write(home: Path, name: str, text: str) -> None:
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)


@pytest.mark.parametrize(
    ("text", "valid", "roots"),
    [
        ('{"allowedRoots": []}', True, 0),
        ('{"allowedRoots": [{"path": "/a"}, {"path": "/b"}]}', True, 2),
        ('{"allowedRoots": 3}', False, 0),
        ("{}", False, 0),
        ("[]", False, 0),
        ("{", False, 0),
    ],
)
def test_list_of_mounts_is_valid_with_its_roots(tmp_path: Path, text: str, valid: bool, roots: int) -> None:
    assert files.allowed_mounts(str(tmp_path)) is None and files.allowed_mounts(None) is None
    write(tmp_path, ALLOWED, text)
    expected = Mounts(f"{tmp_path}/{ALLOWED}", read=True, valid=valid, roots=roots)
    assert files.allowed_mounts(str(tmp_path)) == expected


@pytest.mark.parametrize(
    ("text", "valid", "everybody", "chats"),
    [
        ('{"default": {"allow": "*"}}', True, True, 0),
        ('{"default": {"allow": ["1"]}, "chats": {"tg:1": {}, "tg:2": {}}}', True, False, 2),
        ('{"default": {"allow": []}, "chats": null}', True, False, 0),
        ('{"default": {}}', False, True, 0),
        ('{"default": {"allow": "*"}, "chats": 3}', False, True, 0),
        ("[]", False, True, 0),
        ("", False, True, 0),
    ],
)
def test_list_of_senders_that_is_not_valid_lets_everybody_in(
    tmp_path: Path, text: str, valid: bool, everybody: bool, chats: int
) -> None:
    """As v1 does."""
    assert files.senders(str(tmp_path)) is None and files.senders(None) is None
    write(tmp_path, SENDERS, text)
    senders = Senders(f"{tmp_path}/{SENDERS}", read=True, valid=valid, everybody=everybody, chats=chats)
    assert files.senders(str(tmp_path)) == senders


def test_link_is_followed_for_senders_alone_as_v1_does(tmp_path: Path) -> None:
    write(tmp_path, "senders", '{"default": {"allow": ["1"]}}')
    write(tmp_path, "mounts", '{"allowedRoots": []}')
    (tmp_path / SENDERS).parent.mkdir(parents=True)
    (tmp_path / SENDERS).symlink_to(tmp_path / "senders")
    (tmp_path / ALLOWED).symlink_to(tmp_path / "mounts")
    senders, mounts = files.senders(str(tmp_path)), files.allowed_mounts(str(tmp_path))
    assert senders and (senders.read, senders.valid, senders.everybody) == (True, True, False)
    assert mounts and (mounts.read, mounts.valid) == (False, False)
    (tmp_path / "senders").unlink()
    (tmp_path / "senders").mkdir()
    senders = files.senders(str(tmp_path))
    assert senders and (senders.read, senders.valid, senders.everybody) == (False, False, False)


def test_path_may_exist_where_nobody_can_look(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    names = ("file", "none", "file/below", "loop")
    assert {name: files.may_exist(str(tmp_path / name)) for name in names} == {
        "file": True,
        "none": False,
        "file/below": False,
        "loop": True,
    }


def test_homes_with_the_same_lists_are_alike(tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("a", "b", "c", "d\x1b")]
    for home in homes:
        home.mkdir()
    for home in homes[:2]:
        write(home, SENDERS, "{}")
    write(homes[2], SENDERS, json.dumps({"default": {"allow": "*"}}))
    lists = files.lists([(str(home), "\x1b") for home in homes])
    assert [entry.alike for entry in lists] == [0, 0, 1, 2]
    assert [entry.plain for entry in lists] == [True, True, True, False]
    assert lists[3].path == f"{tmp_path}/d\\x1b" and lists[0].by == "\\x1b"
    (homes[0] / SENDERS).unlink()
    (homes[0] / SENDERS).mkdir()
    (homes[1] / SENDERS).unlink()
    (homes[1] / SENDERS).mkdir()
    lists = files.lists([(str(home), "") for home in homes[:2]])
    assert [entry.alike for entry in lists] == [0, 1], "what cannot be read may differ"


def test_tree_is_a_directory_or_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "file").touch()
    kinds = {name: kind_of(str(tmp_path / name)) for name in ("there", "link", "file", "none", "file/below")}
    assert kinds == {
        "there": "there",
        "link": "link",
        "file": "no directory",
        "none": "absent",
        "file/below": "absent",
    }


@needs_root
def test_tree_in_a_closed_directory_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    os.seteuid(A)
    try:
        assert kind_of(str(tmp_path / "closed/tree")) == "unreadable"
    finally:
        os.seteuid(0)
