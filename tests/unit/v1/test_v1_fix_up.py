"""The fix-up of a small v2 that NanoClaw's own steps made of a snapshot."""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from files.pods.v1.protocol import FixUpRequest
from tests.lab.v1_schema import VERSIONS, Version
from tests.lab.v1_tree import WHEN, make_tree
from tests.unit.trees.trees import needs_root
from tests.unit.v1.test_v1_inspect import EVERYTHING
from tests.unit.v1.v1_extracted import answer_of, extract, rows, run
from tests.unit.v1.v2_made import INBOUND, V2

pytestmark = needs_root

ADD = (
    "INSERT INTO scheduled_tasks (id, group_folder, chat_jid, prompt, schedule_type, schedule_value, next_run, status,"
    " created_at) VALUES (?, ?, ?, 'x', ?, ?, ?, ?, '')"
)
LINE = "@./CLAUDE.global.md\n"


class Move:
    """A v1, its snapshot, and its v2."""

    def __init__(self, place: Path, version: Version = "1.2.53", traits: list[str] | None = None) -> None:
        self.v1, self.snapshot, self.root = place / "claw", place / "place/snapshot", place / "v2"
        make_tree(self.v1, version, EVERYTHING if traits is None else traits)
        self.v2 = V2(self.root)

    def change(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.v1 / "store/messages.db")) as database, database:
            database.execute(statement, values)

    def steps(self) -> None:
        extract(self.v1, self.snapshot, os.getuid())
        self.v2.run_steps(self.snapshot)

    def correct(self, policy: Any = None) -> dict[str, Any]:
        return answer_of(self.try_correct(policy))

    def try_correct(self, policy: Any = None) -> Any:
        me = pwd.getpwuid(os.getuid())
        user = (me.pw_name, me.pw_uid, me.pw_gid)
        return run(FixUpRequest(*user, str(self.snapshot), str(self.root), policy, []))

    def text(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def move(tmp_path: Path) -> Move:
    return Move(tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_fix_up_adds_what_the_steps_lost_and_repeats_safely(tmp_path: Path, version: Version) -> None:
    move = Move(tmp_path, version)
    move.steps()
    answer = move.correct("request_approval")
    assert answer == {
        "continuations": 6,
        "tasks_inserted": ["discord-weekly"],
        "tasks_updated": ["asleep"],
        "tasks_removed": [],
        "paused": ["asleep"],
        "policies": 7,
        "memories": 0,
        "global": 6,
        "env": 0,
        "left": [],
    }
    folders = ("main", "family", "mother", "club", "discord", "papers")
    assert {folder: move.v2.goes_on(folder) for folder in folders} == {folder: f"{folder}-1" for folder in folders}
    assert {name: row["status"] for name, row in move.v2.tasks("main").items()} == {
        **dict.fromkeys(("morning", "heartbeat", "reminder"), "pending"),
        "asleep": "paused",
    }
    assert set(move.v2.policies().values()) == {"request_approval"}
    assert move.text("groups/club/CLAUDE.local.md") == f"{LINE}memory of club\n"
    assert move.text("groups/club/CLAUDE.global.md") == "what all groups know\n"
    assert move.text("groups/main/CLAUDE.local.md") == "memory of main\n"
    assert not (move.root / "groups/main/CLAUDE.global.md").exists()
    held = move.v2.held()
    again = move.correct("request_approval")
    assert again == {**answer, "tasks_inserted": [], "tasks_updated": []}
    assert move.v2.held() == held
    move.steps()
    assert move.correct()["continuations"] == 6 and move.v2.goes_on("main") == "main-1"


def test_task_is_inserted_as_by_the_step(move: Move) -> None:
    move.steps()
    place = "data/v2-sessions/ag-discord/sess-discord/inbound.db"
    move.v2.say(place, "INSERT INTO messages_in (id, seq, kind, timestamp, content) VALUES ('a', 7, 'chat', '', 'x')")
    move.correct()
    row = move.v2.tasks("discord")["discord-weekly"]
    content = json.loads(row.pop("content"))
    assert content["migrated_from_v1"] == {"original_id": "discord-weekly", "context_mode": "isolated"}
    assert content["prompt"].startswith("prompt ") and content["script"] is None
    assert row.pop("timestamp")
    assert row == {
        "id": "discord-weekly",
        "seq": 8,
        "kind": "task",
        "status": "pending",
        "process_after": WHEN,
        "recurrence": "0 9 * * 1",
        "series_id": "discord-weekly",
        "tries": 0,
        "trigger": 1,
        "platform_id": "discord:@me:1190000000000000001",
        "channel_type": "discord",
        "thread_id": None,
    }


def test_continuation_has_a_time_as_nanoclaw_writes_it(move: Move) -> None:
    """Date.toISOString()."""
    move.steps()
    move.correct()
    path = move.root / "data/v2-sessions/ag-club/sess-club/outbound.db"
    noted = {row["key"]: row["updated_at"] for row in rows(path, "session_state")}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", noted["continuation:claude"])


def test_session_that_cannot_hold_a_conversation_is_named_if_it_needs_one(move: Move) -> None:
    move.steps()
    for folder in ("club", "silent"):
        path = move.root / f"data/v2-sessions/ag-{folder}/sess-{folder}/outbound.db"
        if path.exists():
            with closing(sqlite3.connect(path)) as outbound, outbound:
                outbound.execute("DROP TABLE session_state")
    answer = move.correct()
    left = {"what": "conversation of club in sess-club", "why": "outbound.db has no table session_state"}
    assert [one for one in answer["left"] if one["what"].startswith("conversation")] == [left]
    assert answer["continuations"] == 5


def test_prompt_is_written_as_nanoclaw_writes_it(move: Move) -> None:
    """JSON.stringify(): without spaces, and with every character as it is but quotes, \\ and controls."""
    prompt = 'Grüße, 東京 \U0001f980 "x" \\ \n\t\x01\x7f\u2028'
    move.change("UPDATE scheduled_tasks SET prompt = ? WHERE id = 'discord-weekly'", prompt)
    move.change("UPDATE scheduled_tasks SET prompt = ? WHERE id = 'heartbeat'", prompt)
    move.steps()
    held = move.v2.tasks("main")["heartbeat"]["content"]
    move.correct()
    text = move.v2.tasks("discord")["discord-weekly"]["content"]
    prompt = r'"Grüße, 東京 \U0001f980 \"x\" \\ \n\t\u0001'.replace(r"\U0001f980", "\U0001f980") + '\x7f\u2028"'
    origin = '{"original_id":"discord-weekly","context_mode":"isolated"}'
    assert text == f'{{"prompt":{prompt},"script":null,"migrated_from_v1":{origin}}}'
    assert move.v2.tasks("main")["heartbeat"]["content"] == held, "what says the same stays as it was written"


def test_task_is_inserted_into_existing_columns(move: Move) -> None:
    move.steps()
    place = "data/v2-sessions/ag-discord/sess-discord/inbound.db"
    (move.root / place).unlink()
    move.v2.write(place, INBOUND.replace("series_id TEXT, tries INTEGER DEFAULT 0,", ""))
    assert move.correct()["tasks_inserted"] == ["discord-weekly"]
    assert move.v2.tasks("discord")["discord-weekly"]["seq"] == 2


def test_discord_chat_matches_behind_its_server(move: Move) -> None:
    move.steps()
    move.v2.say("data/v2.db", "UPDATE messaging_groups SET platform_id = replace(platform_id, '@me', '77')")
    assert move.correct("strict")["tasks_inserted"] == ["discord-weekly"]
    assert move.v2.policies()["discord:77:1190000000000000001"] == "strict"


def test_later_changes_of_tasks_in_v1_count(move: Move) -> None:
    """The steps add a task once; v2 must not send a reminder again that v1 sent."""
    move.steps()
    move.correct()
    move.change("UPDATE scheduled_tasks SET status = 'completed' WHERE id = 'reminder'")
    move.change("UPDATE scheduled_tasks SET status = 'active' WHERE id = 'asleep'")
    move.change("UPDATE scheduled_tasks SET status = 'paused' WHERE id = 'morning'")
    move.change("UPDATE scheduled_tasks SET next_run = 'later', prompt = 'other' WHERE id = 'heartbeat'")
    move.change("DELETE FROM scheduled_tasks WHERE id = 'club-daily'")
    place = "data/v2-sessions/ag-main/sess-main/inbound.db"
    own = "INSERT INTO messages_in (id, seq, kind, timestamp, content) VALUES (?, ?, ?, '', ?)"
    move.v2.say(place, own, "own", 90, "task", '{"prompt":"of v2 itself"}')
    move.v2.say(place, own, "chat", 92, "chat", '{"migrated_from_v1":{"original_id":"no task"}}')
    move.steps()
    answer = move.correct()
    assert sorted(answer["tasks_removed"]) == ["club-daily", "reminder"]
    assert sorted(answer["tasks_updated"]) == ["asleep", "heartbeat", "morning"]
    assert (answer["tasks_inserted"], answer["paused"]) == ([], ["morning"])
    tasks = move.v2.tasks("main")
    assert {name: row["status"] for name, row in tasks.items()} == {
        **dict.fromkeys(("asleep", "heartbeat", "own", "chat"), "pending"),
        "morning": "paused",
    }
    assert (tasks["heartbeat"]["process_after"], json.loads(tasks["heartbeat"]["content"])["prompt"]) == (
        "later",
        "other",
    )
    assert move.v2.tasks("club") == {}


def test_completed_task_of_v2_is_not_inserted_again(move: Move) -> None:
    move.steps()
    place = "data/v2-sessions/ag-main/sess-main/inbound.db"
    move.v2.say(place, "UPDATE messages_in SET status = 'completed' WHERE id = 'reminder'")
    assert "reminder" not in move.correct()["tasks_inserted"]
    assert move.v2.tasks("main")["reminder"]["status"] == "completed"


def test_only_the_next_run_of_a_series_is_updated(move: Move) -> None:
    move.steps()
    place = "data/v2-sessions/ag-main/sess-main/inbound.db"
    move.v2.say(place, "UPDATE messages_in SET status = 'completed', recurrence = NULL WHERE id = 'asleep'")
    move.v2.say(
        place,
        "INSERT INTO messages_in (id, seq, kind, timestamp, recurrence, series_id, content)"
        " SELECT 'next', 80, kind, '', '*/5 * * * *', series_id, content FROM messages_in WHERE id = 'asleep'",
    )
    assert move.correct()["paused"] == ["asleep"]
    tasks = move.v2.tasks("main")
    assert (tasks["asleep"]["status"], tasks["next"]["status"]) == ("completed", "paused")


def test_tasks_that_nanoclaws_step_skips(move: Move) -> None:
    move.change(ADD, "words", "main", "tg:1001", "cron", "@daily", None, "active")
    move.change(ADD, "often", "main", "tg:1001", "interval", "60m", WHEN, "paused")
    move.steps()
    with closing(sqlite3.connect(move.root / "data/v2-sessions/ag-main/sess-main/inbound.db")) as inbound, inbound:
        inbound.execute("DELETE FROM messages_in")
    assert set(move.correct()["tasks_inserted"]) >= {"words", "often"}
    tasks = move.v2.tasks("main")
    assert tasks["words"]["recurrence"] == "@daily" and tasks["words"]["process_after"].endswith("Z")
    assert (tasks["often"]["recurrence"], tasks["often"]["status"]) == ("0 */1 * * *", "paused")
    assert sorted(row["seq"] for row in tasks.values()) == [2 * number for number in range(1, len(tasks) + 1)]


def test_what_cannot_be_fixed_is_skipped_with_a_reason(move: Move) -> None:
    move.change(ADD, "lost\x1b", "nobody", "tg:1001", "cron", "0 7 * * *", None, "active")
    move.change(ADD, "silent", "main", "tg:9", "cron", "0 7 * * *", None, "active")
    move.change(ADD, "never", "main", "tg:1001", "interval", "soon", None, "active")
    move.change(ADD, "apart", "main", "tg:-1001234567890", "cron", "0 7 * * *", None, "active")
    move.steps()
    place = move.root / "data/v2-sessions/ag-main/sess-main/inbound.db"
    move.v2.say("data/v2.db", "DELETE FROM messaging_groups WHERE platform_id = 'telegram:2002'")
    left = [entry for entry in move.correct("strict")["left"] if "papers" not in entry["what"]]
    assert left == [
        {"what": "task lost\\x1b", "why": "v2 has no such group"},
        {"what": "task silent", "why": "v2 has no such chat"},
        {"what": "task never", "why": "v1 itself could not schedule it"},
        {"what": "task apart", "why": "its group has no session in its chat"},
        {"what": "policy of tg:2002", "why": "v2 has no such chat"},
    ]
    assert place.exists()


def test_session_without_a_conversation_in_v1_starts_a_new_one(move: Move) -> None:
    move.change("DELETE FROM sessions WHERE group_folder IN ('main', 'club')")
    move.steps()
    move.v2.session("sess-thread", "ag-papers", "mg-papers", "any", thread="5")
    move.v2.session("sess-own", "ag-papers", None, "of v2 itself")
    assert move.v2.goes_on("main") == "any-2"
    assert move.correct()["continuations"] == 5
    assert (move.v2.goes_on("main"), move.v2.goes_on("club"), move.v2.goes_on("family")) == (None, None, "family-1")
    assert move.v2.goes_on("papers", "sess-thread") == "papers-1"
    assert move.v2.goes_on("papers", "sess-own") == "of v2 itself"


@pytest.mark.parametrize("name", ["inbound.db", "outbound.db", "", ".."])
def test_link_below_the_sessions_is_not_followed(move: Move, tmp_path: Path, name: str) -> None:
    """An agent may own the directory."""
    move.steps()
    place = Path(os.path.normpath(move.root / "data/v2-sessions/ag-discord/sess-discord" / name))
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    before = move.v2.held()
    left = {entry["what"]: entry["why"] for entry in move.correct()["left"]}
    skipped = {"conversation of discord in sess-discord", "task discord-weekly"}
    alone = {"inbound.db": "task discord-weekly", "outbound.db": "conversation of discord in sess-discord"}
    assert set(left) == ({alone[name]} if name in alone else skipped)
    assert all("is a link" in why for why in left.values())
    kept = [path for path in before if str(place) in path]
    assert kept or name in ("", "..")
    assert {path: before[path] for path in kept} == {path: move.v2.held()[path] for path in kept}


def test_fix_up_creates_no_database(move: Move) -> None:
    move.steps()
    place = move.root / "data/v2-sessions/ag-discord/sess-discord"
    for name in ("inbound.db", "outbound.db"):
        (place / name).unlink()
    assert [entry["why"] for entry in move.correct()["left"]] == ["outbound.db is not there", "inbound.db is not there"]
    assert [path.name for path in place.iterdir()] == ["outbox"]
    (move.root / "data/v2.db").unlink()
    done = move.try_correct()
    assert done.returncode == 1 and "steps run first" in done.stderr
    assert not (move.root / "data/v2.db").exists()


def test_unknown_policy_changes_nothing(move: Move) -> None:
    move.steps()
    before = move.v2.held()
    done = move.try_correct("everybody")
    assert done.returncode == 1 and "v1.fix_up.unknown_senders is none of 'public', 'strict'" in done.stderr
    assert move.v2.held() == before


def test_later_memory_of_v1_is_carried(move: Move) -> None:
    move.steps()
    move.correct()
    (move.v1 / "groups/club/CLAUDE.md").write_text("newer\n")
    (move.v1 / "groups/main/CLAUDE.md").write_text("newest\n")
    (move.v1 / "groups/global/CLAUDE.md").write_text("what all know now\n")
    move.steps()
    assert move.text("groups/club/CLAUDE.local.md") == f"{LINE}memory of club\n"
    assert move.correct()["memories"] == 2
    assert move.text("groups/club/CLAUDE.local.md") == f"{LINE}newer\n"
    assert move.text("groups/main/CLAUDE.local.md") == "newest\n"
    assert move.text("groups/club/CLAUDE.global.md") == "what all know now\n"
    (kept,) = (move.root / "groups/main").glob("CLAUDE.local.md.*")
    assert kept.read_text() == "memory of main\n"
    assert move.correct()["memories"] == 0


def test_group_without_own_memory_imports_the_global_one(tmp_path: Path) -> None:
    move = Move(tmp_path, traits=["telegram"])
    (move.v1 / "groups/club/CLAUDE.md").unlink()
    move.steps()
    (move.root / "groups/club").rmdir()
    assert move.correct()["global"] == 1
    assert move.text("groups/club/CLAUDE.local.md") == LINE
    (move.v1 / "groups/global/CLAUDE.md").unlink()
    other = Move(tmp_path / "other", traits=["telegram"])
    (other.v1 / "groups/global/CLAUDE.md").unlink()
    other.steps()
    assert other.correct()["global"] == 0
    assert other.text("groups/club/CLAUDE.local.md") == "memory of club\n"


def test_main_group_is_that_of_v1(move: Move) -> None:
    move.change("UPDATE registered_groups SET is_main = (folder = 'club')")
    move.steps()
    move.correct()
    assert not (move.root / "groups/club/CLAUDE.global.md").exists()
    assert not (move.root / "groups/main/CLAUDE.global.md").exists()
    assert (move.root / "groups/papers/CLAUDE.global.md").exists()


@pytest.mark.parametrize("name", ["club", "club/CLAUDE.local.md", "club/CLAUDE.global.md"])
@pytest.mark.parametrize("dangling", [True, False])
def test_fix_up_follows_no_link_in_groups(move: Move, tmp_path: Path, name: str, dangling: bool) -> None:
    move.steps()
    place, elsewhere = move.root / "groups" / name, tmp_path / "elsewhere"
    if not dangling:
        elsewhere.mkdir() if name == "club" else elsewhere.write_text("mine")
    if place.exists():
        place.rename(tmp_path / "aside")
    place.symlink_to(elsewhere)
    (entry,) = move.correct()["left"]
    assert entry["what"] == "memory of club" and "is a link" in entry["why"]
    assert elsewhere.exists() != dangling
    if not dangling:
        assert list(elsewhere.iterdir()) == [] if name == "club" else elsewhere.read_text() == "mine"
    assert (move.root / "groups/papers/CLAUDE.global.md").exists()
