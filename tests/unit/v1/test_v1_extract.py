"""The snapshot of a NanoClaw v1: its content and owner; v1 does not change."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.dotenv import effective_entries
from files.pods.v1.database import unchanged
from files.pods.v1.protocol import ExtractRequest
from files.pods.v1.queries import UnreadError
from tests.lab.v1_schema import VERSIONS, Version
from tests.lab.v1_tree import SECRET, WHEN, make_tree
from tests.programs import request_argv
from tests.unit.trees.trees import A, needs_root
from tests.unit.v1.test_v1_inspect import EVERYTHING, left_as_it_is
from tests.unit.v1.v1_extracted import extract, rows, try_extract

pytestmark = needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "claw"


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "place" / "snapshot"


def held(snapshot: Path) -> dict[str, Any]:
    """Return mode, owner and content of each entry of a snapshot."""
    entries = {}
    for path in sorted([snapshot, *snapshot.rglob("*")]):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else None
        entries[str(path.relative_to(snapshot))] = (info.st_mode, info.st_uid, info.st_gid, content)
    return entries


def change(root: Path, *statements: str) -> None:
    database = sqlite3.connect(root / "store/messages.db")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_snapshot_has_what_the_steps_read_and_v1_does_not_change(root: Path, to: Path, version: Version) -> None:
    make_tree(root, version, EVERYTHING)
    with left_as_it_is(root):
        answer = extract(root, to)
    entries = held(to)
    size = sum(len(content) for *_rights, content in entries.values() if content is not None)
    # heartbeat (hourly), club, discord, morning, reminder; and asleep, which is presented as active
    assert answer == {
        "groups": 7,
        "tasks": 6,
        "paused": ["asleep"],
        "approximated": [],
        "left": [],
        "bytes": size,
    }
    assert {rights[:3] for rights in entries.values()} == {(0o40700, A, A), (0o100600, A, A)}
    groups = rows(to / "store/messages.db", "registered_groups")
    assert {group["folder"]: group["is_main"] for group in groups} == {
        **dict.fromkeys(("family", "mother", "club", "discord", "papers", "silent"), 0),
        "main": 1,
    }
    assert json.loads(next(one for one in groups if one["folder"] == "papers")["container_config"])["additionalMounts"]
    tasks = {task["id"]: task for task in rows(to / "store/messages.db", "scheduled_tasks")}
    schedules = {name: (task["schedule_type"], task["schedule_value"], task["status"]) for name, task in tasks.items()}
    assert schedules == {
        "morning": ("cron", "0 7 * * *", "active"),
        "club-daily": ("cron", "0 9 * * *", "active"),
        "discord-weekly": ("cron", "0 9 * * 1", "active"),
        "heartbeat": ("cron", "0 */1 * * *", "active"),
        "reminder": ("once", "2027-01-01T09:00:00", "active"),
        "asleep": ("cron", "*/5 * * * *", "active"),
        "done": ("once", "2026-01-01T09:00:00", "completed"),
    }
    assert (tasks["heartbeat"]["next_run"], tasks["heartbeat"]["prompt"]) == (WHEN, f"prompt {SECRET}")
    assert ("script" in tasks["morning"]) == (version == "1.2.53")
    assert rows(to / "store/messages.db", "paused") == [{"id": "asleep"}]
    noted = {row["group_folder"]: row["session_id"] for row in rows(to / "store/messages.db", "sessions")}
    assert noted["main"] == "main-1" and len(noted) == 6
    files = {name for name, rights in entries.items() if rights[3] is not None}
    folders = ("main", "global", "family", "mother", "club", "discord", "papers", "silent", "forgotten")
    assert files == {"store/messages.db", ".env", "package.json", *(f"groups/{name}/CLAUDE.md" for name in folders)}
    assert (to / "groups/main/CLAUDE.md").read_text() == "memory of main\n"
    assert effective_entries((to / ".env").read_text()) == effective_entries((root / ".env").read_text()) != {}
    sessions = {path.name for path in (to / "data/sessions").iterdir()}
    assert sessions == {path.name for path in (root / "data/sessions").iterdir()} | {"silent"}


@pytest.mark.usefixtures("any_umask")
def test_snapshot_is_for_the_host_user_alone_who_can_reach_it(root: Path, to: Path) -> None:
    """And lies where root alone writes."""
    make_tree(root)
    extract(root, to)
    assert {rights[:3] for rights in held(to).values()} == {(0o40700, A, A), (0o100600, A, A)}
    above = to.parent.stat()
    assert (above.st_mode & 0o7777, above.st_uid) == (0o755, 0)


def test_snapshot_has_no_old_messages(root: Path, to: Path) -> None:
    make_tree(root)
    change(root, "INSERT INTO messages (id, chat_jid, content) VALUES ('1', 'tg:1001', zeroblob(1000000))")
    assert extract(root, to)["bytes"] < 100_000
    tables = {row["name"] for row in rows(to / "store/messages.db", "sqlite_master")}
    assert tables == {"chats", "registered_groups", "scheduled_tasks", "sessions", "paused"}


def test_approximated_intervals_are_reported(root: Path, to: Path) -> None:
    make_tree(root)
    add = (
        "INSERT INTO scheduled_tasks (id, group_folder, chat_jid, prompt, schedule_type, schedule_value, status,"
        " created_at) VALUES ('{}', 'main', 'tg:1001', 'x', 'interval', '{}', '{}', 'x')"
    )
    values = {"a": "5400000", "b": "300000", "c": "45m", "d": "90m", "e": "nonsense", "f": "7d"}
    change(root, *(add.format(name, value, "active") for name, value in values.items()))
    change(root, add.format("p", "1", "paused"), add.format("done", "1", "completed"), add.format("odd", "1", "?"))
    answer = extract(root, to)
    assert answer["approximated"] == [
        {"id": "a", "from": "every 5400000 ms", "to": "0 */2 * * *"},
        {"id": "d", "from": "every 5400000 ms", "to": "0 */2 * * *"},
        {"id": "p", "from": "every 1 ms", "to": "*/1 * * * *"},
    ]
    tasks = {task["id"]: task for task in rows(to / "store/messages.db", "scheduled_tasks")}
    schedules = {name: (tasks[name]["schedule_type"], tasks[name]["schedule_value"]) for name in "bcef"}
    assert schedules == {
        "b": ("cron", "*/5 * * * *"),
        "c": ("interval", "45m"),
        "e": ("interval", "nonsense"),
        "f": ("interval", "7d"),
    }
    assert [tasks[name]["status"] for name in ("p", "done", "odd")] == ["active", "completed", "?"]


@pytest.mark.parametrize(("trait", "folders"), [("wal", {"main", "late"}), ("journal", {"main"})])
def test_log_or_hot_journal_is_applied_to_a_copy(root: Path, to: Path, trait: str, folders: set[str]) -> None:
    make_tree(root, traits=[trait])
    with left_as_it_is(root):
        extract(root, to)
    assert {group["folder"] for group in rows(to / "store/messages.db", "registered_groups")} == folders
    assert [path.name for path in (to / "store").iterdir()] == ["messages.db"]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_serving_v1_is_read_at_its_last_commit(root: Path, to: Path, mode: str) -> None:
    make_tree(root)
    database = sqlite3.connect(root / "store/messages.db", isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("INSERT INTO sessions VALUES ('committed', 'x')")
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO sessions VALUES ('uncommitted', 'x')")
    with left_as_it_is(root):
        extract(root, to)
    noted = {row["group_folder"] for row in rows(to / "store/messages.db", "sessions")}
    assert noted == {"main", "committed"}
    database.execute("COMMIT")
    database.close()
    extract(root, to)
    assert len(rows(to / "store/messages.db", "sessions")) == 3


def test_second_snapshot_differs_only_in_what_changed(root: Path, to: Path) -> None:
    make_tree(root, "1.2.0", EVERYTHING)
    first = extract(root, to), held(to)
    assert (extract(root, to), held(to)) == first
    (root / "groups/main/CLAUDE.md").write_text("more\n")
    (root / "groups/club/CLAUDE.md").unlink()
    extract(root, to)
    assert (to / "groups/main/CLAUDE.md").read_text() == "more\n"
    assert not (to / "groups/club/CLAUDE.md").exists()
    assert sorted(path.name for path in to.parent.iterdir()) == [".snapshot.lock", "snapshot"]


def test_leftovers_of_an_interrupted_run_are_removed(root: Path, to: Path) -> None:
    make_tree(root)
    extract(root, to)
    unfinished = to.parent / ".snapshot.new"
    (unfinished / "store").mkdir(parents=True)
    (unfinished / "store/messages.db").write_text("half")
    extract(root, to)
    assert not unfinished.exists() and rows(to / "store/messages.db", "registered_groups")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda root: (root / "store/messages.db").unlink(), "is not there"),
        (lambda root: (root / "store/messages.db").write_text("nonsense " * 1000), "not a database"),
        (lambda root: change(root, "DROP TABLE registered_groups"), "no table registered_groups"),
        (lambda root: (root / "store").rename(root / "x") and (root / "store").symlink_to("x"), "store: link"),
        (lambda root: (root / "groups").rename(root / "x") and (root / "groups").symlink_to("x"), "groups: link"),
    ],
)
def test_old_snapshot_stays_if_v1_cannot_be_read(root: Path, to: Path, spoil: Any, why: str) -> None:
    make_tree(root)
    extract(root, to)
    before = held(to)
    spoil(root)
    done = try_extract(root, to)
    assert done.returncode == 1 and why in done.stderr and "Traceback" not in done.stderr
    assert held(to) == before
    assert sorted(path.name for path in to.parent.iterdir()) == [".snapshot.lock", "snapshot"]


def test_path_that_is_no_snapshot_is_not_replaced(root: Path, to: Path) -> None:
    make_tree(root)
    to.parent.mkdir()
    to.symlink_to(root)
    with left_as_it_is(root):
        assert "something else is there (link)" in try_extract(root, to).stderr


def test_links_and_special_files_are_skipped(root: Path, to: Path, tmp_path: Path) -> None:
    """An agent can put them where it writes its memory, and the host user owns the snapshot."""
    make_tree(root, traits=["telegram", "discord dm"])
    (tmp_path / "secret").write_text("root's\n")
    (root / "groups/main/CLAUDE.md").unlink()
    (root / "groups/main/CLAUDE.md").symlink_to(tmp_path / "secret")
    (root / "groups/club/CLAUDE.md").unlink()
    os.mkfifo(root / "groups/club/CLAUDE.md")
    (root / "groups/discord/CLAUDE.md").unlink()
    (root / "groups/discord/CLAUDE.md").mkdir()
    (root / "groups/away").symlink_to(tmp_path)
    (root / "data/sessions/away").symlink_to(tmp_path)
    (root / "store/matrix").symlink_to(tmp_path)
    with left_as_it_is(root):
        extract(root, to)
    assert {str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()} == {
        *("store/messages.db", "package.json", ".env", "groups/global/CLAUDE.md")
    }
    assert not (to / "data/sessions/away").exists() and not (to / "groups/away").exists()


CREDENTIALS = {
    *("data/sessions/telegram/session", "store/telegram-session/deep/key"),
    *("data/sessions/baileys/creds.json", "data/baileys_auth/creds.json", "store/auth_info_baileys/creds.json"),
    *("store/baileys/creds.json", "auth_info_baileys/creds.json"),
    *("data/matrix-store/keys", "store/matrix/deep/keys", "data/sessions/matrix/keys"),
    *("data/imessage/token", "store/imessage/token", "data/gchat-credentials.json", "store/gchat-sa.json"),
}
"""Of each channel, by NanoClaw's setup/migrate-v2/shared.ts."""


def test_credentials_come_from_where_the_step_reads_them(root: Path, to: Path) -> None:
    make_tree(root, traits=["whatsapp"])
    for name in CREDENTIALS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("key\n")
    extract(root, to)
    files = {str(path.relative_to(to)): path for path in to.rglob("*") if path.is_file()}
    assert {name for name, path in files.items() if path.read_text(errors="replace") == "key\n"} == CREDENTIALS
    assert not (to / "store/auth").exists()


def test_conversations_of_a_group_named_like_a_channel_are_no_credentials(root: Path, to: Path) -> None:
    make_tree(root)
    (root / "data/sessions/telegram/.claude").mkdir(parents=True)
    (root / "data/sessions/telegram/.claude/history.jsonl").write_text("said\n")
    extract(root, to)
    assert list((to / "data/sessions/telegram").iterdir()) == []


def test_group_with_a_task_gets_a_session(root: Path, to: Path) -> None:
    make_tree(root)
    change(
        root,
        "INSERT INTO registered_groups (jid, name, folder, trigger_pattern, added_at)"
        " VALUES ('tg:5', 'n', 'new', '', '')",
        "UPDATE scheduled_tasks SET group_folder = 'new', chat_jid = 'tg:5'",
    )
    extract(root, to)
    assert (to / "data/sessions/new").is_dir()


def test_folders_that_are_paths_are_skipped(root: Path, to: Path, tmp_path: Path) -> None:
    """An agent of the main group can write the database."""
    make_tree(root)
    add = (
        "INSERT INTO registered_groups (jid, name, folder, trigger_pattern, added_at) VALUES ('{}', 'n', '{}', '', '')"
    )
    change(root, add.format("tg:\x1b5", "../../x"), add.format("tg:6", ".."), add.format("tg:7", "/tmp/x"))
    change(root, "UPDATE scheduled_tasks SET group_folder = '../../x'", "INSERT INTO sessions VALUES ('../x', 'x')")
    answer = extract(root, to)
    why = "its folder is not the name of a directory"
    assert answer["left"] == [{"what": f"group {jid}", "why": why} for jid in ("tg:\\x1b5", "tg:6", "tg:7")]
    assert (answer["groups"], answer["tasks"]) == (1, 0)
    assert [row["group_folder"] for row in rows(to / "store/messages.db", "sessions")] == ["main"]


def test_v1_without_groups_and_data_has_a_snapshot(root: Path, to: Path) -> None:
    make_tree(root)
    for name in ("groups", "data", ".env"):
        (root / name).rename(root / f"{name}.away")
    assert extract(root, to)["groups"] == 1
    assert list((to / "groups").iterdir()) == []


def test_missing_table_counts_as_empty(root: Path, to: Path) -> None:
    make_tree(root)
    change(root, "DROP TABLE scheduled_tasks", "DROP TABLE sessions")
    assert extract(root, to)["tasks"] == 0
    assert rows(to / "store/messages.db", "sessions") == []


def test_read_without_a_lock_counts_only_if_nothing_changed(root: Path) -> None:
    make_tree(root)
    path, tries = root / "store/messages.db", iter("123")

    def read_while_it_is_written_once() -> str:
        number = next(tries)
        if number == "1":
            path.write_bytes(path.read_bytes())
        return number

    assert unchanged(str(root / "store"), read_while_it_is_written_once) == "2"
    with pytest.raises(UnreadError, match="it changes while it is read"):
        unchanged(str(root / "store"), lambda: path.write_bytes(path.read_bytes()))


def test_interrupted_run_leaves_the_old_snapshot(root: Path, to: Path) -> None:
    """The program is killed while it waits for a file system: here, for the lock of a database that is in use."""
    make_tree(root)
    extract(root, to)
    before = held(to)
    database = sqlite3.connect(root / "store/messages.db", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    argv = request_argv(ExtractRequest("andy", A, A, str(root), str(to)))
    with subprocess.Popen(argv, start_new_session=True) as program:
        end = time.monotonic() + 20
        while not (to.parent / ".snapshot.new/store/scratch").exists():
            assert time.monotonic() < end and program.poll() is None
            time.sleep(0.01)
        os.killpg(program.pid, signal.SIGKILL)
    database.close()
    assert held(to) == before and (to.parent / ".snapshot.new").exists()
    extract(root, to)
    assert held(to) == before and not (to.parent / ".snapshot.new").exists()
