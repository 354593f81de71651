"""The inspection of a NanoClaw v1, as a machine runs it."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from files.pods.v1.files import lists
from files.pods.v1.protocol import InspectRequest, SpaceRequest
from files.pods.v1.v1_state import Mounts, Senders
from tests.lab.v1_schema import VERSIONS, Version
from tests.lab.v1_tree import SECRET, TRAITS, make_tree
from tests.programs import request_argv
from tests.unit.trees.trees import needs_root

pytestmark = needs_root

EVERYTHING = [trait for trait in TRAITS if trait not in ("wal", "journal")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "claw"


def ask(where: Path | str, v2: Path | None = None, wrapped: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the program's reply about a directory. It runs in a PID namespace of its own.

    It looks for daemons in /proc, where stand-ins of the tests beside it run too.
    """
    alone = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    root = v2 or Path(where).parent / "v2"
    places = [SpaceRequest(str(root), None), SpaceRequest("/no/such/pods", "/no/such/pods")]
    request = InspectRequest(str(where), str(root), 1000, places, 60)
    argv = [*alone, *wrapped, *request_argv(request)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    assert SECRET not in done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert answer["error"] is None
    return answer


def install(where: Path) -> dict[str, Any]:
    reply: dict[str, Any] = ask(where)["install"]
    return reply


def state_of(where: Path) -> dict[str, Any]:
    """Return all of a tree that could change: its entries, their metadata, and their content."""
    every = (where, *sorted(where.rglob("*")))
    files = [path for path in every if path.is_file() and not path.is_symlink()]
    held = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    links = {str(path): str(path.readlink()) for path in every if path.is_symlink()}
    return {**held, **links, **{f"{path} is": tuple(path.lstat()) for path in every}}


@contextmanager
def left_as_it_is(where: Path) -> Iterator[None]:
    state_of(where)  # reading it changes times of access, once
    before = state_of(where)
    marks = {path: path.lstat().st_atime_ns for path in where.rglob("*")}
    yield
    assert {path: path.lstat().st_atime_ns for path in where.rglob("*")} == marks
    assert state_of(where) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_install_is_described_and_does_not_change(root: Path, version: Version) -> None:
    make_tree(root, version, EVERYTHING)
    with left_as_it_is(root):
        reply = install(root)
    assert (reply["path"], reply["version"]) == (str(root), version)
    assert reply["owner"] == {"uid": 0, "gid": 0, "user": "root"}
    database = reply["database"]
    assert (database["state"], database["checked"], database["is_main"]) == ("read", True, version != "1.1.6")
    groups = {group["folder"]: group for group in database["groups"]}
    assert set(groups) == {"main", "family", "mother", "club", "discord", "papers", "silent"}
    assert [name for name, group in groups.items() if group["main"]] == ["main"]
    assert {name for name, group in groups.items() if group["direct"]} == {"main", "mother", "discord"}
    assert groups["family"]["jid"] == "120363000000000001@g.us"
    assert groups["papers"]["mounts"] == ["/srv/papers"] and groups["main"]["mounts"] == []
    kinds = sorted((task["folder"], task["kind"], task["value"], task["status"]) for task in database["tasks"])
    assert kinds[0] == ("club", "cron", "0 9 * * *", "active") and len(kinds) == 7
    assert ("main", "interval", "3600000", "active") in kinds
    assert database["sessions"] == sorted(set(groups) - {"silent"})
    assert {"forgotten", "global", "main"} <= set(reply["folders"])
    assert (reply["conversations"]["main"], reply["conversations"]["forgotten"]) == (2, 1)
    assert (reply["auth"], reply["skills"]) == (3, ["agent-browser", "weather"])
    assert reply["env"] == ["ANTHROPIC_API_KEY", "TELEGRAM_BOT_TOKEN", "TZ"]


def test_directory_may_have_any_name(tmp_path: Path) -> None:
    root = tmp_path / "claw\x1b[31m"
    make_tree(root)
    answer = ask(root)
    shown = f"{tmp_path}/claw\\x1b[31m"
    assert [candidate["path"] for candidate in answer["candidates"]] == [shown]
    assert answer["install"]["path"] == shown


def test_entries_of_a_tree_are_counted_without_following_links(root: Path, tmp_path: Path) -> None:
    make_tree(root, traits=["git", "link"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "large").write_bytes(b"x" * 100_000)
    (root / "groups/main/out").symlink_to(elsewhere)
    (root / "groups/main/code/app/.git/objects").mkdir()
    (root / "groups/main/code/app/.git/CLAUDE.md").write_text("not a memory\n")
    (root / "groups/main/code/app/node_modules/x/node_modules").mkdir(parents=True)
    os.mkfifo(root / "data/pipe")
    trees = install(root)["trees"]
    files = [path for path in (root / "groups").rglob("*") if path.is_file() and not path.is_symlink()]
    inside = [path for path in files if "out" not in path.parts and "latest" not in path.parts]
    assert trees["groups"]["bytes"] == sum(path.stat().st_size for path in inside) < 100_000
    assert trees["groups"]["counts"] == {"link": 2, ".git": 1, "memory": 1, "node_modules": 1}
    assert trees["groups"]["samples"]["memory"] == ["main/code/app/CLAUDE.md"]
    assert trees["data"]["counts"] == {"link": 1, "special": 1}
    assert trees["groups"]["entries"] > len(inside)


def test_other_file_systems_are_reported_and_not_entered(root: Path) -> None:
    make_tree(root)
    (root / "groups/main/disk").mkdir()
    size = install(root)["trees"]["groups"]
    script = f'mount -t tmpfs t {root}/groups/main/disk && echo more > {root}/groups/main/disk/file && exec "$@"'
    wrapped = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh")
    reply = ask(root, wrapped=wrapped)["install"]
    assert reply["elsewhere"] == [f"{root}/groups/main/disk"]
    assert reply["trees"]["groups"] == size


def test_tree_that_is_a_mount_point_is_inspected(root: Path) -> None:
    make_tree(root)
    copied = f"cp -a {root}/groups {root}/copy && mount -t tmpfs t {root}/groups && cp -a {root}/copy/. {root}/groups"
    wrapped = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{copied} && exec "$@"', "sh")
    reply = ask(root, wrapped=wrapped)["install"]
    assert reply["elsewhere"] == [] and reply["trees"]["groups"]["entries"] == 6


def test_log_without_a_checkpoint_is_read_and_left(root: Path) -> None:
    make_tree(root, traits=["wal"])
    with left_as_it_is(root):
        database = install(root)["database"]
    assert (database["state"], database["wal"] > 0) == ("read", True)
    assert [group["folder"] for group in database["groups"]] == ["main", "late"]


def test_empty_log_needs_no_other_files(root: Path) -> None:
    make_tree(root)
    with sqlite3.connect(root / "store/messages.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
    database.close()
    assert [path.name for path in (root / "store").iterdir()] == ["messages.db"]
    with left_as_it_is(root):
        reply = install(root)["database"]
    assert (reply["state"], reply["wal"], len(reply["groups"])) == ("read", 0, 1)


def test_database_in_use_is_read_in_each_journal_mode(root: Path) -> None:
    make_tree(root)
    database = sqlite3.connect(root / "store/messages.db", isolation_level=None)
    add = "INSERT INTO sessions VALUES (?, 'x')"
    database.execute("BEGIN IMMEDIATE")
    database.execute(add, ("uncommitted",))
    with left_as_it_is(root):
        assert install(root)["database"]["sessions"] == ["main"]
    database.execute("ROLLBACK")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(add, ("logged",))
    with left_as_it_is(root):
        assert install(root)["database"]["sessions"] == ["logged", "main"]
    database.close()


def test_hot_journal_is_applied_to_a_copy(root: Path) -> None:
    make_tree(root, traits=["journal"])
    with left_as_it_is(root):
        database = install(root)["database"]
    assert (database["state"], database["journal"] > 0, database["checked"]) == ("read", True, True)
    assert [group["folder"] for group in database["groups"]] == ["main"]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 12] = b"\xff" * 4096 * 10
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "state", "text"),
    [
        (lambda path: path.write_text("nonsense " * 1000), "corrupt", "file is not a database"),
        (lambda path: path.write_bytes(path.read_bytes()[:20_000]), "corrupt", ""),
        (damage, "corrupt", ""),
        (lambda path: path.write_bytes(b""), "foreign", "it has no table registered_groups, but 0 others"),
        (lambda path: (path.unlink(), path.mkdir()), "unread", "messages.db is a link, or no file"),
        (lambda path: path.rename(path.parent / "x") and path.symlink_to("x"), "unread", "messages.db is a link"),
        (lambda path: (path.parent / "messages.db-wal").symlink_to("/dev/zero"), "unread", "messages.db-wal is a link"),
    ],
    ids=["text", "cut", "damaged", "empty", "directory", "link", "log"],
)
def test_state_of_an_unusable_database(root: Path, change: Any, state: str, text: str) -> None:
    make_tree(root)
    change(root / "store/messages.db")
    database = install(root)["database"]
    assert database["state"] == state and text in database["text"], database
    assert database["groups"] == [] or state == "corrupt"


def test_inspection_follows_no_tree_that_is_a_link(root: Path, tmp_path: Path) -> None:
    make_tree(root)
    for name in ("store", "groups"):
        (root / name).rename(tmp_path / name)
        (root / name).symlink_to(tmp_path / name)
    (root / ".env").unlink()
    (root / ".env").symlink_to("/etc/passwd")
    reply = install(root)
    assert [reply["trees"][name]["state"] for name in ("store", "groups", "data")] == ["link", "link", "there"]
    assert (reply["database"]["state"], reply["env"]) == ("missing", None)


def test_names_by_agents_are_escaped(root: Path) -> None:
    make_tree(root)
    (root / "groups/main/\x1b[2J\n").symlink_to("/")
    (root / "groups/\x1b]0;\udcff").mkdir()
    with sqlite3.connect(root / "store/messages.db") as database:
        database.execute("UPDATE registered_groups SET jid = ?, container_config = ?", ("tg:\x1b[31m", "[" * 100_000))
    database.close()
    reply = install(root)
    text = json.dumps(reply, ensure_ascii=False)
    assert text.isprintable()
    assert reply["database"]["groups"][0]["mounts"] == ["(it cannot be read)"]


def test_space_is_reported_except_behind_a_missing_mount(root: Path) -> None:
    make_tree(root)
    here, pods = ask(root)["spaces"]
    assert here["bytes"] > 0 and here["device"] == root.parent.stat().st_dev
    assert pods == {"path": "/no/such/pods", "device": None, "bytes": None, "entries": None}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda root: (root / "package.json").write_text('{"version": "2.0.64"}'), "v2"),
        (lambda root: (root / "package.json").write_text('{"version": "2026.10.0"}'), "v2"),
        (lambda root: (root / "store/messages.db").unlink(), "no database"),
        (lambda root: root.rename(root.parent / "moved"), "absent"),
        (lambda root: (root / "package.json").unlink(), "v1"),
    ],
)
def test_directory_of_the_setting_is_classified(root: Path, change: Any, kind: str) -> None:
    make_tree(root)
    change(root)
    answer = ask(root)
    assert [candidate["kind"] for candidate in answer["candidates"]] == [kind]
    assert (answer["install"] is not None) == (kind == "v1")


def test_entries_that_every_audit_would_miss_are_counted(root: Path) -> None:
    make_tree(root, "1.2.53", ["whatsapp", "conversations"])
    (root / "store/auth").rename(root / "elsewhere")
    (root / "store/auth").symlink_to(root / "elsewhere")
    (root / "groups/also").symlink_to("main")
    (root / "groups/main/container.json").write_text("{}")
    (root / "groups/main/notes").mkdir()
    (root / "groups/main/notes/container.json").write_text("{}")
    (root / "groups/notes.txt").write_text("")
    claude = root / "data/sessions/main/.claude"
    claude.rename(root / "claude")
    claude.symlink_to(root / "claude")
    trees = install(root)["trees"]
    names = {name: sorted(tree["samples"].get("in the way", [])) for name, tree in trees.items()}
    assert names == {"store": ["auth"], "groups": ["also", "main/container.json"], "data": ["sessions/main/.claude"]}


def test_allow_lists_are_read_as_v1_reads_them(root: Path, tmp_path: Path) -> None:
    """v1 follows a link; a file that root cannot read does not count as missing."""
    make_tree(root, home=tmp_path)
    place = tmp_path / ".config/nanoclaw"
    place.mkdir(parents=True, exist_ok=True)
    own = place / "sender-allowlist.json"
    own.unlink(missing_ok=True)
    assert lists([(str(tmp_path), "")])[0].senders is None
    (tmp_path / "dotfile").write_text('{"default": {"allow": []}, "chats": {"a": {}}}')
    own.symlink_to(tmp_path / "dotfile")
    senders = lists([(str(tmp_path), "")])[0].senders
    assert senders == Senders(str(own), read=True, valid=True, everybody=False, chats=1)
    (tmp_path / "dotfile").write_text('{"default": {"allow": "*"}}')
    senders = lists([(str(tmp_path), "")])[0].senders
    assert senders == Senders(str(own), read=True, valid=True, everybody=True, chats=0)
    (tmp_path / "dotfile").write_text('{"default": []}')
    senders = lists([(str(tmp_path), "")])[0].senders
    assert senders == Senders(str(own), read=True, valid=False, everybody=True, chats=0), "v1 lets everybody in then"
    (tmp_path / "dotfile").write_text(" " * (2 << 20))
    senders = lists([(str(tmp_path), "")])[0].senders
    assert senders == Senders(str(own), read=False, valid=False, everybody=False, chats=0)
    (tmp_path / "dotfile").unlink()
    assert lists([(str(tmp_path), "")])[0].senders is None
    (place / "mount-allowlist.json").unlink(missing_ok=True)
    (place / "mount-allowlist.json").symlink_to(root / "package.json")
    assert lists([(str(tmp_path), "")])[0].mounts == Mounts(str(place / "mount-allowlist.json"), False, False, 0)
