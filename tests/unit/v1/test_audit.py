"""The audit of a complete migration finds no loss, and only reads v1."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from files.pods.common.protocol import decode
from files.pods.trees.entry import open_directory
from files.pods.v1.audit.chats import platform_of, same_instant
from files.pods.v1.audit.entries import Below, same_time
from files.pods.v1.audit.protocol import AuditReport, Finding, Homes
from tests.lab.v1_schema import VERSIONS, Version
from tests.unit.trees.trees import needs_root
from tests.unit.v1.test_v1_inspect import left_as_it_is
from tests.unit.v1.v1_migrated import AGENT, HOST, Migrated, ask, change, database, lost, migrate, rewrite, run

ORPHAN = {"what": "conversations forgotten", "why": "no group that is migrated has them"}


@needs_root
@pytest.mark.parametrize("deep", [False, True])
def test_complete_migration_loses_nothing(it: Migrated, deep: bool) -> None:
    with left_as_it_is(it.v1):
        answer = ask(it, deep=deep)
    assert asdict(decode(AuditReport, answer, "the audit")) == answer
    assert (answer["lost"], answer["left"]) == ([], [ORPHAN])
    counts = {kind: (one["v1"], one["v2"]) for kind, one in answer["counts"].items()}
    files = counts.pop("files")
    assert counts == {
        "groups": (7, 7),
        "tasks": (6, 6),
        "conversations": (7, 7),
        "memories": (9, 9),
        "auth": (3, 3),
        "env": (3, 3),
        "skills": (2, 2),
    }
    assert files[0] == files[1] > 20


@needs_root
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("trait", ["wal", "journal", "telegram"])
def test_no_version_loses_anything(tmp_path: Path, version: Version, trait: str) -> None:
    it = migrate(tmp_path, version, [trait])
    with left_as_it_is(it.v1):
        answer = ask(it)
    assert answer["lost"] == [] and answer["counts"]["groups"]["v1"] == (1 if trait == "journal" else 2)


@needs_root
@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("groups/main/notes/today.md", "file groups/main/notes/today.md"),
        (
            "data/v2-sessions/ag-main/.claude-shared/projects/-workspace-agent/main-1.jsonl",
            "conversation main/main-1.jsonl",
        ),
    ],
)
def test_deep_audit_compares_contents(it: Migrated, place: str, what: str) -> None:
    rewrite(it.root / place, "other")
    assert lost(it) == {}
    assert lost(it, deep=True) == {what: "has other content"}


@needs_root
def test_values_that_the_role_sets_may_differ_and_are_not_shown(it: Migrated) -> None:
    rewrite(it.root / ".env", (it.root / ".env").read_text().replace("Oslo", "Rome"))
    assert lost(it, env_set=["TZ"]) == {}
    done = run(it)
    assert "env TZ" in done.stdout and "Rome" not in done.stdout and "Oslo" not in done.stdout


@needs_root
def test_group_without_an_agent_group_is_lost_with_its_conversations(it: Migrated) -> None:
    change(it.root / "data/v2.db", "DELETE FROM agent_groups WHERE folder = 'papers'")
    assert lost(it) == {
        "group tg:2002": "v2 has no agent group with its folder",
        "conversation papers/papers-1.jsonl": "not there",
        "file data/sessions/papers/.claude/projects": "not there",
    }


@needs_root
def test_tasks_and_conversations_of_a_skipped_group_are_skipped(it: Migrated) -> None:
    change(it.root / "data/v2.db", "DELETE FROM agent_groups WHERE folder = 'club'")
    (it.root / "groups/club/CLAUDE.global.md").unlink()
    known = Finding("group tg:-1001234567890", "v2 has no such channel")
    answer = ask(it, left=[known])
    assert answer["lost"] == []
    assert answer["left"] == [
        asdict(known),
        {"what": "task club-daily", "why": "its group is skipped"},
        {"what": "conversations club", "why": ORPHAN["why"]},
        ORPHAN,
    ]
    assert answer["counts"]["tasks"] == {"v1": 6, "v2": 5} and answer["counts"]["groups"] == {"v1": 7, "v2": 6}


@needs_root
def test_folder_without_a_chat_is_skipped(it: Migrated) -> None:
    store = it.v1 / "store/messages.db"
    change(store, "UPDATE scheduled_tasks SET chat_jid = 'tg:404' WHERE id = 'reminder'")
    change(store, "UPDATE sessions SET session_id = '../main-1' WHERE group_folder = 'main'")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(it.v1 / "groups/main/s"))
    answer = ask(it)
    assert answer["lost"] == [] and {one["what"]: one["why"] for one in answer["left"]} == {
        "task reminder": "their group is not registered",
        "continuation main": "v1 no longer has its current conversation ../main-1",
        "file groups/main/s": "a socket, pipe or device",
        ORPHAN["what"]: ORPHAN["why"],
    }


@needs_root
def test_group_without_a_session_is_lost(it: Migrated) -> None:
    change(it.root / "data/v2.db", "DELETE FROM sessions WHERE agent_group_id = 'ag-silent'")
    assert lost(it) == {"group tg:2222": "it has no session"}


@needs_root
def test_audit_counts_by_v1s_database_and_not_by_the_snapshot(it: Migrated) -> None:
    snapshot = it.snapshot / "store/messages.db"
    with database(snapshot) as connection:
        for table in ("registered_groups", "sessions", "scheduled_tasks"):
            connection.execute(f"DELETE FROM {table}")
    assert lost(it) == {"task heartbeat": "the snapshot of v1 has no cron expression for its interval"}


@needs_root
def test_audit_follows_no_link_in_v2(it: Migrated) -> None:
    (it.root / "groups").rename(it.root / "away")
    (it.root / "groups").symlink_to("away")
    folders = {path.name for path in (it.v1 / "groups").iterdir()}
    named = {f"file groups/{folder}" for folder in folders} | {f"memory {folder}" for folder in folders - {"global"}}
    named |= {f"memory global of {folder}" for folder in folders - {"global", "main", "forgotten"}}
    assert set(lost(it)) == named


@needs_root
def test_tree_of_v1_that_is_a_link_is_lost(it: Migrated) -> None:
    (it.v1 / "groups").rename(it.v1 / "away")
    (it.v1 / "groups").symlink_to("away")
    assert lost(it) == {"file groups": "is a link, which is not read"}


@needs_root
def test_audit_compares_the_mount_allow_list(it: Migrated, tmp_path: Path) -> None:
    homes = Homes(str(it.home), "nobody", str(tmp_path / "host"))
    assert lost(it, lists=homes) == {"mount allow-list": "not there"}
    shutil.copytree(it.home, tmp_path / "host")
    assert lost(it, lists=homes) == {}
    mine = tmp_path / "host/.config/nanoclaw/mount-allowlist.json"
    mine.write_text("{}")
    assert lost(it, lists=homes) == {}
    assert "stays" in {one["what"]: one["why"] for one in ask(it, lists=homes)["left"]}["mount allow-list"]
    v1s = it.home / mine.relative_to(tmp_path / "host")
    v1s.unlink()
    assert lost(it, lists=homes) == {}
    v1s.symlink_to(mine)
    assert lost(it, lists=homes) == {"mount allow-list": "is no file in v1's home, and is not migrated"}


@needs_root
def test_file_beside_the_groups_is_skipped(it: Migrated) -> None:
    (it.v1 / "groups/notes.txt").write_text("")
    assert lost(it) == {}
    assert "no agent sees it" in {one["what"]: one["why"] for one in ask(it)["left"]}["file groups/notes.txt"]


@needs_root
def test_names_are_printable_and_the_rest_is_counted(it: Migrated) -> None:
    for number in range(300):
        (it.v1 / f"groups/main/\x1b[31m{number:03}").write_text("")
    answer = ask(it)
    assert len(answer["lost"]) == 200 and answer["more"] == {"lost": 100, "left": 0}
    assert answer["lost"][0]["what"] == "file groups/main/\\x1b[31m000"
    assert answer["counts"]["files"]["v1"] - answer["counts"]["files"]["v2"] == 300


@needs_root
def test_audit_that_must_find_everything_fails_with_what_is_lost(it: Migrated) -> None:
    assert run(it, must=True).returncode == 0
    lost_files = sorted((it.root / "groups/main").glob("CLAUDE.local.md"))
    assert lost_files
    for path in lost_files:
        path.unlink()
    done = run(it, must=True)
    report = decode(AuditReport, json.loads(done.stdout.splitlines()[-1]), "the audit")
    assert report.lost and done.returncode == 1
    assert done.stderr == f"v2 lacks parts of v1: {'; '.join(f'{one.what}: {one.why}' for one in report.lost)}\n"


@needs_root
def test_unreadable_database_is_an_error(it: Migrated) -> None:
    (it.root / "data/v2.db").rename(it.root / "data/away.db")
    (it.root / "data/v2.db").symlink_to("away.db")
    done = run(it)
    assert done.returncode == 1 and "v2's data/v2.db cannot be read" in done.stderr


@needs_root
def test_endless_database_hits_the_deadline(it: Migrated) -> None:
    with database(it.v1 / "store/messages.db") as connection:
        connection.execute("DROP TABLE registered_groups")
        endless = "WITH RECURSIVE n(jid) AS (SELECT 1 UNION ALL SELECT jid + 1 FROM n) SELECT max(jid) FROM n"
        connection.execute(f"CREATE VIEW registered_groups AS {endless}")
    done = run(it, seconds=2)
    assert done.returncode == 1 and "no end within 2 s" in done.stderr


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "time": (lambda v1: touch(v1 / "dist/index.js"), False),
    "mode": (lambda v1: (v1 / "store/auth/creds.json").chmod(0o640), False),
    "owner": (lambda v1: os.chown(v1 / "groups/main/latest", AGENT, HOST, follow_symlinks=False), False),
    "new file": (lambda v1: (v1 / "groups/new").touch(), False),
    "content": (lambda v1: rewrite(v1 / "dist/index.js", "other"), True),
}


@needs_root
@pytest.mark.parametrize(("do", "deep"), CHANGES.values(), ids=CHANGES)
def test_digest_changes_with_v1(it: Migrated, do: Callable[[Path], object], deep: bool) -> None:
    before = ask(it, deep=deep)["digest"]
    assert ask(it, deep=deep)["digest"] == before and len(before) == 64
    do(it.v1)
    assert ask(it, deep=deep)["digest"] != before


@pytest.mark.parametrize(
    ("jid", "platform"),
    [
        ("tg:-100123", ("telegram", "telegram:-100123")),
        ("TG:1", ("telegram", "telegram:1")),
        ("telegram:telegram:1", ("telegram", "telegram:1")),
        ("1@g.us", ("whatsapp", "1@g.us")),
        ("wa:47", ("whatsapp", "47")),
        ("mx:!room:server", ("matrix", "matrix:!room:server")),
        ("slack:C1", ("slack", "slack:C1")),
        ("a@example.org", None),
        ("tg:", None),
        (":1", None),
    ],
)
def test_platform_id_is_that_of_v2(jid: str, platform: tuple[str, str] | None) -> None:
    assert platform_of(jid) == platform


def test_times_are_compared_at_the_resolution_of_the_copy() -> None:
    time = 1_772_000_000_123_456_789
    assert all(same_time(time, copied) for copied in (time, time - 89, time - 789, time - 123_456_789))
    assert not any(same_time(time, copied) for copied in (time + 1, time - 1, 0))
    assert same_instant("2026-03-01T09:00:00.000Z", "2026-03-01T10:00:00+01:00")
    assert not same_instant("2026-03-01T09:00:00.000Z", None) and not same_instant("now", "then")


def test_path_is_walked_one_name_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    (tmp_path / "a/link").symlink_to("b")
    below = Below(open_directory(str(tmp_path / "a")))
    assert below.content(["b", "file"]) == b"x" and below.lstat(["b", "file"]) is not None
    for parts in (["link", "file"], ["b/file"], ["..", "a", "b", "file"], ["b", ""], ["none", "file"], ["b", "\0"]):
        assert below.content(parts) is None and below.lstat(parts) is None and below.digest(parts) == ""
    assert below.target(["link"]) == "b" and below.digest(["b", "file"]).startswith("2d711642")
