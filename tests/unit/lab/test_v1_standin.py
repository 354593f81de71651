"""The stand-in NanoClaw v1, without Docker: a fake `docker` runs the agent's script on the group's own directories."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.v1_schema import VERSIONS, Version, create_tables
from tests.unit.lab.standin_install import wait_for
from tests.unit.lab.v1_install import Install, made

MISSING = [tool for tool in ("node", "sqlite3") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}")

NOW = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    yield from made(tmp_path, "1.2.53")


@pytest.fixture(params=VERSIONS)
def each(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Install]:
    yield from made(tmp_path, request.param)


def columns(database: sqlite3.Connection) -> dict[str, set[str]]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return {name: {row[1] for row in database.execute(f"PRAGMA table_info({name})")} for (name,) in tables.fetchall()}


def test_each_version_answers_and_has_the_schema_of_the_trees_made_for_tests(each: Install) -> None:
    each.start()
    answer = each.chat('it\'s me, "quoted"\nand $(more)')
    assert (answer.returncode, answer.stdout) == (0, 'echo: it\'s me, "quoted"\nand $(more)\n'), answer.stderr
    version: Version = json.loads((each.root / "package.json").read_text())["version"]
    with sqlite3.connect(":memory:") as expected, sqlite3.connect(each.root / "store/messages.db") as actual:
        create_tables(expected, version)
        assert columns(actual) == columns(expected)
        assert actual.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert ("is_main" in columns(actual)["registered_groups"]) == (version != "1.1.6")


def test_an_older_database_is_brought_to_the_version_that_starts(tmp_path: Path) -> None:
    install = Install(tmp_path, "1.1.6")
    install.setup()
    install.sql("INSERT INTO registered_groups VALUES ('tg:2', 'Club', 'club', '@Andy', 'now', NULL, 1)")
    install.unpack("1.2.0")
    install.setup()
    assert install.sql("SELECT folder, is_main FROM registered_groups ORDER BY folder") == [("club", 0), ("main", 1)]
    assert install.sql("SELECT name FROM pragma_table_info('scheduled_tasks') WHERE name = 'script'") == []


def test_a_conversation_is_one_session_that_survives_a_clean_stop_which_leaves_no_journal(install: Install) -> None:
    host = install.start()
    assert install.chat("one").stdout == "echo: one\n"
    host.terminate()
    assert host.wait(timeout=20) == 0
    assert sorted(path.name for path in (install.root / "store").iterdir()) == ["messages.db"]
    install.start()
    assert install.chat("two").stdout == "echo: two\n"
    assert install.chat("three").stdout == "echo: three\n"  # by the container that runs

    ((folder, session),) = install.sql("SELECT * FROM sessions")
    assert folder == "main"
    ((name, lines),) = install.transcripts().items()
    assert name == session
    user_lines = [line["message"]["content"] for line in lines if line["type"] == "user"]  # type: ignore[index]
    assert user_lines == ["one", "two", "three"]
    messages = install.sql("SELECT content, is_bot_message FROM messages ORDER BY rowid")
    assert messages[:2] == [("one", 0), ("echo: one", 1)]
    assert len(messages) == 6
    cursors = install.sql("SELECT value FROM router_state WHERE key = 'last_agent_timestamp'")[0][0]
    last_sent = install.sql("SELECT MAX(timestamp) FROM messages WHERE NOT is_bot_message")[0][0]
    assert json.loads(str(cursors)) == {"tg:1000": last_sent}


def test_a_stop_of_all_processes_at_once_leaves_no_journal(install: Install) -> None:
    many = "CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1500000)"
    many += " SELECT i FROM n;"
    script = f"""
        import {{ transaction }} from './dist/database.js';
        process.on('SIGTERM', () => {{}});
        await transaction('store/messages.db', '{many}');
    """
    argv = ["node", "--input-type=module", "-e", script]
    with subprocess.Popen(argv, cwd=install.root, start_new_session=True) as unit:
        wait_for((install.root / "store/messages.db-journal").exists)
        os.killpg(unit.pid, signal.SIGTERM)
    assert unit.returncode == 0
    assert sorted(path.name for path in (install.root / "store").iterdir()) == ["messages.db"]
    assert install.sql("SELECT COUNT(*) FROM t") == [(1_500_000,)]


def test_an_idle_agent_leaves_and_the_next_one_goes_on(install: Install) -> None:
    install.start()
    for text in ("one", "two"):
        assert install.chat(text).stdout == f"echo: {text}\n"
        wait_for(lambda: not list(install.root.glob("data/ipc/main/input/*")) and "code=0" in install.log())
        wait_for(lambda: install.log().count("Container exited") == len(list(install.fake.glob("run-*"))))
    assert install.log().count("Spawning container agent") == 2
    assert len(install.transcripts()) == 1


def test_the_tree_is_as_v1_leaves_it(install: Install) -> None:
    install.start()
    assert install.chat("hello").returncode == 0
    ipc = install.root / "data/ipc/main"
    assert {path.name for path in ipc.iterdir()} == {"messages", "tasks", "input", "current_tasks.json"}
    sessions = install.root / "data/sessions/main"
    assert (sessions / ".claude/skills/notes/SKILL.md").is_file()
    assert not (sessions / ".claude/skills/notes").is_symlink()
    assert (sessions / "agent-runner-src/agent.sh").exists()
    assert stat.S_IMODE((install.root / ".env").stat().st_mode) == 0o600
    wait_for(lambda: list(install.root.glob("groups/main/logs/container-*.log")))
    run = max(install.fake.glob("run-*")).read_text().splitlines()
    assert run[-1] == "nanoclaw-agent:latest"
    name = run[run.index("--name") + 1]
    assert name.startswith("nanoclaw-main-") and name.rsplit("-", 1)[1].isdigit()


def test_what_an_agent_receives_depends_on_its_group_and_on_the_version(each: Install) -> None:
    (each.root / "groups/global").mkdir()
    assert each.node("dist/register.js", "--jid", "tg:2", "--name", "Club", "--folder", "club").returncode == 0
    each.start()
    assert each.chat("hello", folder="club").stdout == "echo: hello\n"
    own = ["/workspace/group", "/home/node/.claude", "/workspace/ipc", "/app/src"]
    assert each.mounts() == ["/workspace/global:ro", *own]
    assert each.chat("hello").returncode == 0
    project = ["/workspace/project:ro", "/workspace/project/.env:ro"]
    latest = json.loads((each.root / "package.json").read_text())["version"] == "1.2.53"
    later = ["/workspace/project/store", "/workspace/global"] if latest else []
    assert each.mounts() == [*project, *later, *own]


def test_due_tasks_run_and_say_when_they_run_next(install: Install) -> None:
    hour_ago = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 3600 + 30))
    for name, kind, value in (("c", "cron", "0 9 * * *"), ("i", "interval", "3600000"), ("o", "once", hour_ago)):
        install.sql(
            "INSERT INTO scheduled_tasks (id, group_folder, chat_jid, prompt, schedule_type, schedule_value, next_run,"
            " created_at) VALUES (?, 'main', 'tg:1000', ?, ?, ?, ?, ?)",
            *(name, f"task {name}", kind, value, hour_ago, NOW),
        )
    install.start()
    wait_for(lambda: install.sql("SELECT COUNT(*) FROM task_run_logs WHERE status = 'success'") == [(3,)])
    rows = install.sql("SELECT id, next_run, last_run, last_result, status FROM scheduled_tasks ORDER BY id")
    cron, interval, once = rows
    assert str(cron[1]).endswith("T09:00:00.000Z") and str(cron[1]) > NOW
    assert str(interval[1]) > NOW  # the one that was due, and an hour
    assert str(interval[1])[14:19] == hour_ago[14:19]
    assert once[1] is None
    assert [row[4] for row in rows] == ["active", "active", "completed"]
    assert [row[3] for row in rows] == ["echo: task c", "echo: task i", "echo: task o"]
    assert all(str(row[2]) >= NOW for row in rows)
    assert install.sql("SELECT * FROM sessions") == []  # an isolated task is no part of the conversation
    assert len(install.transcripts()) == 3


@pytest.mark.parametrize(
    ("line", "now", "expected"),
    [
        ("*/15 * * * *", "2026-03-01T09:00:00Z", "2026-03-01T09:15:00.000Z"),
        ("0 9 * * 1-5", "2026-02-27T09:00:00Z", "2026-03-02T09:00:00.000Z"),
        ("30 8,20 1 * *", "2026-03-01T20:30:00Z", "2026-04-01T08:30:00.000Z"),
        ("0 0 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00.000Z"),
        ("0 12 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T12:00:00.000Z"),
        ("0 6 * * 7", "2026-03-01T06:00:00Z", "2026-03-08T06:00:00.000Z"),
    ],
)
def test_cron_lines_mean_what_cron_means_by_them(install: Install, line: str, now: str, expected: str) -> None:
    result = f"nextCron('{line}', new Date('{now}')).toISOString()"
    script = f"import {{ nextCron }} from './dist/schedule.js'; console.log({result})"
    done = install.node("--input-type=module", "-e", script)
    assert done.stdout.strip() == expected, done.stderr


def test_an_agent_that_fails_leaves_the_message_open_and_a_later_one_answers_it(install: Install) -> None:
    (install.fake / "broken").touch()
    install.start()
    silence = install.chat("hello", timeout=3)
    assert silence.returncode == 1
    assert "the message is still open; no such image" in silence.stderr
    (install.fake / "broken").unlink()
    wait_for(lambda: ("echo: hello", 1) in install.sql("SELECT content, is_bot_message FROM messages"), 30)


def test_a_killed_host_answers_after_its_next_start_what_was_open_and_no_history(install: Install) -> None:
    install.sql("INSERT INTO messages VALUES ('old', 'tg:1000', 'x', 'x', 'old news', ?, 0, 0, NULL, NULL, NULL)", NOW)
    install.setup()
    install.start().kill()
    assert install.chat("meanwhile", timeout=1).returncode == 1
    install.start()
    wait_for(lambda: install.sql("SELECT content FROM messages WHERE is_bot_message") == [("echo: meanwhile",)])


def test_an_impossible_message_is_refused(install: Install) -> None:
    refused = install.chat("hello", folder="nobody")
    assert (refused.returncode, refused.stderr) == (1, "refused: no group has the folder nobody\n")
    assert install.node("dist/chat.js").returncode == 2
    assert install.start(DOCKER_DOWN="1").wait(timeout=20) == 1
    assert "Failed to start NanoClaw" in install.log()


@pytest.mark.parametrize(("how", "expected"), [("system", "multi-user.target"), ("user", "default.target")])
def test_the_unit_is_the_one_of_the_version(each: Install, how: str, expected: str) -> None:
    each.setup(how)
    lines = (each.fake / "nanoclaw.service").read_text().splitlines()
    assert f"WantedBy={expected}" in lines
    assert f"WorkingDirectory={each.root}" in lines
    assert f"StandardOutput=append:{each.root}/logs/nanoclaw.log" in lines
    assert any(line.startswith("ExecStart=") and line.endswith(f" {each.root}/dist/index.js") for line in lines)
    latest = json.loads((each.root / "package.json").read_text())["version"] == "1.2.53"
    assert ("KillMode=process" in lines) == latest


def test_without_systemd_a_script_starts_it_and_writes_its_pid(install: Install) -> None:
    install.setup("nohup")
    pid_file = install.root / "nanoclaw.pid"
    first = int(pid_file.read_text())
    try:
        assert install.chat("hello").stdout == "echo: hello\n"
        assert Path(f"/proc/{first}/cmdline").read_bytes().split(b"\0")[1] == f"{install.root}/dist/index.js".encode()
        assert "NanoClaw running" in (install.root / "logs/nanoclaw.log").read_text()
        subprocess.run(["./start-nanoclaw.sh"], cwd=install.root, env=install.env, check=True, timeout=30)
        assert int(pid_file.read_text()) != first
        wait_for(lambda: not Path(f"/proc/{first}").exists())
    finally:
        os.kill(int(pid_file.read_text()), 15)
