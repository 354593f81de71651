"""The stand-in's own steps of the migration: what they say and make, and the faults of upstream's that they keep."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.lab.v1_tree import TRAITS, make_tree
from tests.unit.lab.standin_install import Install, made
from tests.unit.trees.trees import needs_root
from tests.unit.v1.v1_extracted import extract

MISSING = [tool for tool in ("git", "node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")

PLAIN = [trait for trait in TRAITS if trait not in ("wal", "journal", "link")]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    yield from made(tmp_path)


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    make_tree(tmp_path / "v1", traits=PLAIN)
    return tmp_path / "v1"


def output(install: Install, step: str, v1: Path, *more: str) -> list[str]:
    """The lines of a step that ends well."""
    done = install.step(step, v1, *more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def change(v1: Path, *statements: str) -> None:
    with closing(sqlite3.connect(v1 / "store/messages.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def continuation(install: Install, folder: str) -> str:
    question = "SELECT value FROM session_state WHERE key = 'continuation:claude'"
    ((name,),) = install.sql(question, install.migrated(folder) / "outbound.db")
    return str(name)


def test_env_adds_what_is_missing_and_copies_the_whole(install: Install, v1: Path) -> None:
    (install.root / ".env").write_text("TZ=UTC")
    assert output(install, "env", v1) == ["OK:copied=2,skipped=1", "COPIED:ANTHROPIC_API_KEY,TELEGRAM_BOT_TOKEN"]
    assert output(install, "env", v1) == ["OK:copied=0,skipped=3"]
    first, _, mark, *rest = (install.root / ".env").read_text().splitlines()
    assert (first, mark) == ("TZ=UTC", "# ── migrated from v1 ──")
    assert rest == [line for line in (v1 / ".env").read_text().splitlines() if line[:3] in ("ANT", "TEL")]
    assert (install.root / "data/env/env").read_text() == (install.root / ".env").read_text()
    (v1 / ".env").unlink()
    assert output(install, "env", v1) == ["SKIPPED:no v1 .env"]


def test_db_makes_groups_and_wiring_once(install: Install, v1: Path) -> None:
    change(
        v1,
        "UPDATE registered_groups SET requires_trigger = 0 WHERE folder = 'main'",
        "UPDATE registered_groups SET trigger_pattern = '' WHERE folder = 'club'",
        "INSERT INTO registered_groups (jid, name, folder, trigger_pattern, added_at) VALUES ('odd', '', 'o', '', '')",
    )
    errors = [
        "ERROR:Discord channel 1190000000000000001 (discord): no network to ask Discord",
        "ERROR:Could not parse JID: odd",
    ]
    assert output(install, "db", v1) == ["OK:groups=8,created=6,reused=0,skipped=2", *errors]
    assert output(install, "db", v1) == ["OK:groups=8,created=0,reused=6,skipped=2", *errors]
    question = (
        "SELECT folder, g.name, channel_type, platform_id, m.name, is_group, unknown_sender_policy, engage_mode,"
        " engage_pattern, sender_scope, ignored_message_policy, session_mode, priority"
        " FROM agent_groups g JOIN messaging_group_agents w ON w.agent_group_id = g.id"
        " JOIN messaging_groups m ON m.id = w.messaging_group_id ORDER BY w.rowid"
    )
    same = ("all", "drop", "shared", 0)
    assert install.sql(question) == [
        ("main", "Main", "telegram", "telegram:1001", "Main", 0, "public", "pattern", ".", *same),
        ("family", "Family", "whatsapp", "120363000000000001@g.us", "Family", 1, "public", "pattern", "@Andy", *same),
        ("mother", "Mother", "whatsapp", "4790000001@s.whatsapp.net", "Mother", 0, "public", "pattern", "@Andy", *same),
        ("club", "Club", "telegram", "telegram:-1001234567890", "Club", 1, "public", "mention", None, *same),
        ("papers", "Papers", "telegram", "telegram:2002", "Papers", 0, "public", "pattern", "@Andy", *same),
        ("silent", "Silent", "telegram", "telegram:2222", "Silent", 0, "public", "pattern", "@Andy", *same),
    ]
    ids = install.sql(
        "SELECT g.id, w.id, m.id FROM agent_groups g, messaging_group_agents w, messaging_groups m LIMIT 1"
    )
    assert [word.split("-")[0] for word in ids[0]] == ["ag", "mga", "mg"]


def test_db_says_why_it_did_nothing(install: Install, v1: Path) -> None:
    change(v1, "DELETE FROM registered_groups WHERE folder != 'discord'")
    done = install.step("db", v1)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("FAIL:groups=1,created=0,reused=0,skipped=1\nERROR:Discord channel ")
    change(v1, "DELETE FROM registered_groups")
    assert output(install, "db", v1) == ["SKIPPED:no registered groups in v1"]


def test_db_fails_without_the_column_that_older_versions_lack(install: Install, tmp_path: Path) -> None:
    make_tree(tmp_path / "old", "1.1.6")
    done = install.step("db", tmp_path / "old")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "FAIL:no such column: is_main\n")
    assert not (install.root / "data/v2.db").exists()


def test_groups_lose_links_repositories_and_what_is_called_like_memory_or_logs(install: Install, v1: Path) -> None:
    main, copy = v1 / "groups/main", install.root / "groups/main"
    (main / "latest").symlink_to("code")
    for name in ("src/logs/kept.txt", "notes/today.md", "node_modules/x/index.js"):
        (main / name).parent.mkdir(parents=True, exist_ok=True)
        (main / name).write_text(name)
    os.utime(main / "notes/today.md", (1, 1))
    skipped = f"SKIP:symlink {main}/latest"
    assert output(install, "groups", v1) == [skipped, "OK:folders=9,claudes=9,files=1"]
    assert output(install, "groups", v1) == [skipped, "OK:folders=9,claudes=0,files=0"]
    files = sorted(str(path.relative_to(copy)) for path in copy.rglob("*") if not path.is_dir())
    assert files == ["CLAUDE.local.md", "CLAUDE.md", "notes/today.md"]
    assert (copy / "CLAUDE.local.md").read_text() == "memory of main\n"
    assert (copy / "notes/today.md").stat().st_mtime > 1
    mounts = [{"hostPath": "/srv/papers", "containerPath": "papers", "readonly": True}]
    assert json.loads((install.root / "groups/papers/container.json").read_text()) == {"additionalMounts": mounts}


def test_groups_without_a_directory_of_groups(install: Install, tmp_path: Path) -> None:
    done = install.step("groups", tmp_path / "nothing")
    assert (done.returncode, done.stdout) == (1, "SKIPPED:no v1 groups/ directory\n")


def test_sessions_and_tasks_need_the_central_database(install: Install, v1: Path) -> None:
    for step in ("sessions", "tasks"):
        done = install.step(step, v1)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("v2.db not found")


def test_sessions_are_made_once_and_go_on_with_the_newest_file(install: Install, v1: Path) -> None:
    output(install, "db", v1)
    assert output(install, "sessions", v1) == ["OK:created=5,reused=0,skipped=2,files=13"]
    question = "SELECT thread_id, status, container_status FROM sessions"
    assert install.sql(question) == [(None, "active", "stopped")] * 5
    session = install.migrated("main")
    assert {path.name for path in session.iterdir()} == {"inbound.db", "outbound.db", "outbox"}
    shared = session.parent / ".claude-shared"
    assert (shared / "skills/weather/SKILL.md").exists()  # where the host would have a link
    agent = shared / "projects/-workspace-agent"
    assert {path.name for path in agent.iterdir()} == {"main-0.jsonl", "main-1.jsonl"}
    assert not (shared.parent / "agent-runner-src").exists()

    for path in agent.iterdir():
        v1_time = (v1 / f"data/sessions/main/.claude/projects/-workspace-group/{path.name}").stat().st_mtime
        assert path.stat().st_mtime > v1_time  # a copy has the time of the copying
    for name in ("main-0", "main-1"):  # v1 says main-1
        os.utime(agent / f"{name}.jsonl", (2e9, 2e9))
        assert output(install, "sessions", v1) == ["OK:created=0,reused=5,skipped=2,files=0"]
        assert continuation(install, "main") == name
        os.utime(agent / f"{name}.jsonl", (1e9, 1e9))


def folders_with_a_session(install: Install) -> set[str]:
    question = "SELECT folder FROM agent_groups g JOIN sessions s ON s.agent_group_id = g.id"
    return {str(folder) for (folder,) in install.sql(question)}


@needs_root
def test_a_group_that_never_had_a_conversation_gets_its_session_from_the_view_alone(
    install: Install, v1: Path, tmp_path: Path
) -> None:
    output(install, "db", v1)
    output(install, "sessions", v1)
    assert "main" in folders_with_a_session(install) and "silent" not in folders_with_a_session(install)
    shutil.rmtree(v1 / "data/sessions")
    assert output(install, "sessions", v1) == ["SKIPPED:no v1 data/sessions/ directory"]
    extract(v1, tmp_path / "view")
    assert output(install, "sessions", tmp_path / "view")[0].startswith("OK:created=1,reused=5,")
    outbound = install.migrated("silent") / "outbound.db"
    assert install.sql("SELECT * FROM session_state", outbound) == []


def test_a_session_directory_without_a_home_gets_its_session_and_keeps_its_conversation(
    install: Install, v1: Path
) -> None:
    output(install, "db", v1)
    shutil.rmtree(v1 / "data/sessions/main")
    (v1 / "data/sessions/main").mkdir()
    output(install, "sessions", v1)
    outbound = install.migrated("main") / "outbound.db"
    assert install.sql("SELECT * FROM session_state", outbound) == []
    assert not (outbound.parents[1] / ".claude-shared").exists()
    install.sql("INSERT INTO session_state VALUES ('continuation:claude', 'mine', 'now')", outbound)
    output(install, "sessions", v1)
    assert continuation(install, "main") == "mine"


def test_sessions_end_at_a_link_to_a_directory(install: Install, v1: Path) -> None:
    output(install, "db", v1)
    debug = v1 / "data/sessions/main/.claude/debug"
    debug.symlink_to("nowhere")
    output(install, "sessions", v1)
    debug.unlink()
    debug.symlink_to("projects")
    done = install.step("sessions", v1)
    assert (done.returncode, done.stdout) == (1, "")
    assert "EISDIR" in done.stderr


def test_tasks_are_filed_once_but_not_what_v1_calls_an_interval(install: Install, v1: Path) -> None:
    task = "INSERT INTO scheduled_tasks SELECT {}, group_folder, chat_jid, prompt, {}, {}, NULL, last_run, last_result,"
    rest = " status, created_at, context_mode, script FROM scheduled_tasks WHERE id = 'morning'"
    changes = [
        ("hourly", "interval", "2h"),
        ("late", "interval", "90m"),
        ("odd", "cron", "* *"),
        ("then", "at", "2030-01-01"),
    ]
    change(v1, *(task.format(*map(repr, one)) + rest for one in changes))
    output(install, "db", v1)
    # skipped: Discord's, the interval in milliseconds, 90m, and the cron line of two fields
    assert output(install, "tasks", v1) == ["OK:active=9,migrated=5,skipped=4,failed=0"]
    assert output(install, "tasks", v1) == ["OK:active=9,migrated=0,skipped=9,failed=0"]
    inbound = install.migrated("main") / "inbound.db"
    question = (
        "SELECT id, kind, series_id, status, recurrence, channel_type, platform_id FROM messages_in ORDER BY rowid"
    )
    same = ("telegram", "telegram:1001")
    assert install.sql(question, inbound) == [
        ("morning", "task", "morning", "pending", "0 7 * * *", *same),
        ("reminder", "task", "reminder", "pending", None, *same),
        ("hourly", "task", "hourly", "pending", "0 */2 * * *", *same),
        ("then", "task", "then", "pending", None, *same),
    ]
    content, after = install.sql("SELECT content, process_after FROM messages_in WHERE id = 'morning'", inbound)[0]
    assert after == "2026-03-01T09:00:00.000Z"
    assert sorted(json.loads(content)) == ["migrated_from_v1", "prompt", "script"]
    assert json.loads(content)["migrated_from_v1"] == {"original_id": "morning", "context_mode": "isolated"}
    change(v1, "DELETE FROM scheduled_tasks")
    assert output(install, "tasks", v1) == ["SKIPPED:no active tasks"]


def test_a_task_that_cannot_be_filed_is_reported_and_the_others_are_filed(install: Install, v1: Path) -> None:
    output(install, "db", v1)
    output(install, "sessions", v1)
    (install.migrated("main") / "inbound.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    done = install.step("tasks", v1)
    assert (done.returncode, done.stdout) == (0, "OK:active=5,migrated=1,skipped=2,failed=2\n")
    assert [line.split(":")[:2] for line in done.stderr.splitlines() if line.startswith("TASK_ERROR")] == [
        ["TASK_ERROR", "morning"],
        ["TASK_ERROR", "reminder"],
    ]


def test_channel_auth_copies_what_it_knows_and_not_where_v1_keeps_the_pairing(install: Install, v1: Path) -> None:
    (v1 / "store/baileys/keys").mkdir(parents=True)
    (v1 / "store/baileys/keys/one.json").write_text("1")
    first_output = output(install, "channel-auth", v1, "whatsapp", "telegram", "slack", "smoke")
    assert first_output[0] == "OK:channels=4,env_keys=1,files=1"
    assert first_output[1].startswith("MISSING:slack:SLACK_BOT_TOKEN (")
    assert ",slack:SLACK_SIGNING_SECRET (" in first_output[1]
    assert output(install, "channel-auth", v1, "whatsapp", "telegram") == ["OK:channels=2,env_keys=0,files=0"]
    assert (v1 / "store/auth/creds.json").exists()
    assert sorted(path.name for path in (install.root / "store").iterdir()) == ["baileys"]
    assert install.step("channel-auth", v1).returncode == 1
