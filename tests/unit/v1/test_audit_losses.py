"""The audit reports each loss of a migration, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from files.pods.common.linux import LIBC, check, unshare_mounts
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.v1.audit.protocol import Finding
from files.pods.v1.audit.walk import walk_v1
from tests.lab.v1_tree import WHEN
from tests.unit.trees.trees import needs_root
from tests.unit.v1.test_v1_inspect import left_as_it_is
from tests.unit.v1.v1_migrated import AGENT, HOST, Migrated, ask, change, lost, rewrite

pytestmark = needs_root


def v2_db(it: Migrated, statement: str) -> None:
    change(it.root / "data/v2.db", statement)


def inbound(it: Migrated, statement: str) -> None:
    change(it.session("main") / "inbound.db", statement)


def state(it: Migrated, statement: str) -> None:
    change(it.session("main") / "outbound.db", statement)


def link_instead(path: Path) -> None:
    """Replace a path by a link to its content."""
    away = path.with_name("moved")
    path.rename(away)
    path.symlink_to("moved")
    os.chown(path, AGENT, AGENT, follow_symlinks=False)


def retarget(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)
    os.chown(path, AGENT, AGENT, follow_symlinks=False)


def write_over(path: Path) -> None:
    """Write other content of the same size."""
    path.write_bytes(b"x" * path.stat().st_size)


CASES = [
    pytest.param(
        lambda it: v2_db(it, "UPDATE messaging_groups SET channel_type = 'slack' WHERE id = 'mg-mother'"),
        "group 4790000001@s.whatsapp.net",
        "v2 has no messaging group for its chat",
        id="a chat on another channel",
    ),
    pytest.param(
        lambda it: v2_db(it, "DELETE FROM messaging_group_agents WHERE id = 'mga-main'"),
        "group tg:1001",
        "its chat is not wired to its agent",
        id="a group that is not wired",
    ),
    pytest.param(
        lambda it: v2_db(it, "DELETE FROM sessions WHERE id = 'sess-mother'"),
        "group 4790000001@s.whatsapp.net",
        "it has no session",
        id="a group without a session",
    ),
    pytest.param(
        lambda it: (it.session("mother") / "inbound.db").unlink(),
        "group 4790000001@s.whatsapp.net",
        "its session sess-mother has no inbound.db",
        id="a session without a database",
    ),
    pytest.param(
        lambda it: inbound(it, "DELETE FROM messages_in WHERE id = 'reminder'"),
        "task reminder",
        "not there",
        id="a task that is not there",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET kind = 'chat' WHERE id = 'morning'"),
        "task morning",
        "not there",
        id="a task of another kind",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET status = 'pending' WHERE id = 'asleep'"),
        "task asleep",
        "is pending instead of paused",
        id="a task that was paused and runs",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET status = 'paused' WHERE id = 'morning'"),
        "task morning",
        "is paused instead of active",
        id="a task that ran and is paused",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET content = '{\"prompt\": \"x\"}' WHERE id = 'morning'"),
        "task morning",
        "has another prompt",
        id="a task with another prompt",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET content = '[]' WHERE id = 'morning'"),
        "task morning",
        "its content cannot be read",
        id="a task with content that is no object",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET recurrence = '0 8 * * *' WHERE id = 'morning'"),
        "task morning",
        "recurs at 0 8 * * * instead of 0 7 * * *",
        id="a task at other times",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET recurrence = NULL WHERE id = 'heartbeat'"),
        "task heartbeat",
        "recurs at None instead of 0 */1 * * *",
        id="an interval that is none any more",
    ),
    pytest.param(
        lambda it: inbound(it, "UPDATE messages_in SET process_after = '2026-03-01T10:00:00Z' WHERE id = 'reminder'"),
        "task reminder",
        f"is due at 2026-03-01T10:00:00Z instead of {WHEN}",
        id="a task of one time at another",
    ),
    pytest.param(
        lambda it: state(it, "UPDATE session_state SET value = 'main-0'"),
        "continuation main",
        "resumes main-0 instead of main-1",
        id="another conversation goes on",
    ),
    pytest.param(
        lambda it: state(it, "DELETE FROM session_state"),
        "continuation main",
        "resumes none instead of main-1",
        id="no conversation goes on",
    ),
    pytest.param(
        lambda it: (it.claude("main") / "projects/-workspace-agent/main-0.jsonl").unlink(),
        "conversation main/main-0.jsonl",
        "not there",
        id="a conversation that is not there",
    ),
    pytest.param(
        lambda it: write_over(it.claude("main") / "projects/-workspace-agent/main-0.jsonl"),
        "conversation main/main-0.jsonl",
        "has other content",
        id="a conversation of the same size",
    ),
    pytest.param(
        lambda it: os.chown(it.claude("main") / "projects/-workspace-agent/main-0.jsonl", HOST, AGENT),
        "conversation main/main-0.jsonl",
        f"belongs to {HOST}:{AGENT} instead of {AGENT}:{AGENT}",
        id="a conversation that is somebody else's",
    ),
    pytest.param(
        lambda it: (it.root / "groups/family/CLAUDE.local.md").unlink(),
        "memory family",
        "CLAUDE.local.md is not there",
        id="a memory that is not there",
    ),
    pytest.param(
        lambda it: (it.root / "groups/main/CLAUDE.local.md").write_text("You are Andy\n"),
        "memory main",
        "CLAUDE.local.md has another text",
        id="a memory that is the template's",
    ),
    pytest.param(
        lambda it: (it.root / "groups/club/CLAUDE.global.md").unlink(),
        "memory global of club",
        "CLAUDE.global.md is not there",
        id="the memory of all, not given to one",
    ),
    pytest.param(
        lambda it: (it.root / "groups/main/latest").unlink(),
        "file groups/main/latest",
        "not there",
        id="a link that is not there",
    ),
    pytest.param(
        lambda it: ((it.root / "groups/main/latest").unlink(), (it.root / "groups/main/latest").mkdir()),
        "file groups/main/latest",
        "is a directory instead of a link",
        id="a link that was followed",
    ),
    pytest.param(
        lambda it: retarget(it.root / "groups/main/latest", "code"),
        "file groups/main/latest",
        "has another target",
        id="a link to something else",
    ),
    pytest.param(
        lambda it: link_instead(it.root / "groups/main/code"),
        "file groups/main/code",
        "is a link instead of a directory",
        id="a directory that is a link",
    ),
    pytest.param(
        lambda it: shutil.rmtree(it.root / "groups/main/code/app/.git"),
        "file groups/main/code/app/.git",
        "not there",
        id="a directory that is not there",
    ),
    pytest.param(
        lambda it: (it.root / "groups/main/code/app/CLAUDE.md").unlink(),
        "file groups/main/code/app/CLAUDE.md",
        "not there",
        id="a nested memory that is not there",
    ),
    pytest.param(
        lambda it: (it.root / "groups/main/notes/today.md").write_text("tomorrow\n"),
        "file groups/main/notes/today.md",
        "has 9 bytes instead of 6",
        id="a file of another size",
    ),
    pytest.param(
        lambda it: write_over(it.root / "groups/main/notes/today.md"),
        "file groups/main/notes/today.md",
        "has other content",
        id="a file of the same size",
    ),
    pytest.param(
        lambda it: (it.root / "groups/main/notes/today.md").chmod(0o744),
        "file groups/main/notes/today.md",
        "has mode 0744 instead of 0644",
        id="a file with other rights",
    ),
    pytest.param(
        lambda it: os.chown(it.root / "groups/main/notes/today.md", 0, 0),
        "file groups/main/notes/today.md",
        f"belongs to 0:0 instead of {AGENT}:{AGENT}",
        id="a file that is root's",
    ),
    pytest.param(
        lambda it: (it.claude("main") / "debug").unlink(),
        "file data/sessions/main/.claude/debug",
        "not there",
        id="a link of a group's .claude",
    ),
    pytest.param(
        lambda it: (it.root / "store/auth/creds.json").unlink(),
        "auth creds.json",
        "not there",
        id="a file of the pairing",
    ),
    pytest.param(
        lambda it: (it.v1 / "store/auth/app").mkdir(),
        "auth app",
        "not there",
        id="a directory of the pairing",
    ),
    pytest.param(
        lambda it: rewrite(it.root / "store/auth/creds.json", "{}"),
        "auth creds.json",
        "has other content",
        id="other content of the pairing",
    ),
    pytest.param(
        lambda it: (it.root / "store/auth/creds.json").chmod(0o640),
        "auth creds.json",
        "has mode 0640 instead of 0600",
        id="a pairing that others may read",
    ),
    pytest.param(
        lambda it: os.chown(it.root / "store/auth/creds.json", 0, 0),
        "auth creds.json",
        f"belongs to 0:0 instead of {HOST}:{HOST}",
        id="a pairing that is root's",
    ),
    pytest.param(
        lambda it: rewrite(it.root / ".env", (it.root / ".env").read_text().replace("TZ=", "TX=")),
        "env TZ",
        "not there",
        id="an entry of .env",
    ),
    pytest.param(
        lambda it: rewrite(it.root / ".env", (it.root / ".env").read_text().replace("Oslo", "Rome")),
        "env TZ",
        "has another value",
        id="another value in .env",
    ),
    pytest.param(
        lambda it: (it.root / ".env").chmod(0o644),
        "file .env",
        "has mode 0644 instead of 0600",
        id="an .env that others may read",
    ),
    pytest.param(
        lambda it: os.chown(it.root / ".env", 0, 0),
        "file .env",
        f"belongs to 0:0 instead of {HOST}:{HOST}",
        id="an .env that is root's",
    ),
    pytest.param(
        lambda it: shutil.rmtree(it.root / "container/skills/weather"),
        "skill weather",
        "not there",
        id="a skill",
    ),
]


@pytest.mark.parametrize(("do", "what", "why"), CASES)
def test_only_the_lost_thing_is_reported(it: Migrated, do: Callable[[Migrated], object], what: str, why: str) -> None:
    do(it)
    with left_as_it_is(it.v1):
        assert lost(it) == {what: why}
    known = Finding(what, "known")
    answer = ask(it, left=[known])
    assert (answer["lost"], asdict(known) in answer["left"]) == ([], True)


@pytest.mark.parametrize("side", ["v1", "root"])
def test_file_with_another_time_and_the_same_content_is_not_lost(it: Migrated, side: str) -> None:
    """An NFS client that holds a delegation shows a time of its own, which the server may replace later."""
    os.utime(getattr(it, side) / "groups/main/notes/today.md", (1, 1))
    assert lost(it) == {}


@pytest.mark.parametrize(
    ("where", "lost"),
    [("groups/main/mnt", [("file groups/main/mnt", "is on another file system, or lies too deep")]), ("groups", [])],
)
def test_file_system_inside_a_tree_is_reported(it: Migrated, where: str, lost: list[tuple[str, str]]) -> None:
    """A subvolume of Btrfs, of which the mount table says nothing; a mount of its own stands for it here."""
    (it.v1 / where).mkdir(exist_ok=True)
    losses: list[tuple[str, str]] = []
    ledger: Any = SimpleNamespace(lose=lambda *finding: losses.append(finding))

    def looked() -> list[tuple[str, str]]:
        unshare_mounts()
        check(LIBC.mount(b"none", str(it.v1 / where).encode(), b"tmpfs", 0, None))
        walk_v1(str(it.v1), False, ledger, lambda _entry: None)
        return losses

    answer = run_as(ROOT, 20, looked)
    assert {tuple(one) for one in answer["value"]} == set(lost)
