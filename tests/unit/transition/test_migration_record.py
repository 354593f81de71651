"""The journal of a migration, and its page."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.pods.common.protocol import decode
from files.pods.transition.documents import Journal, JournalStep
from files.pods.v1.audit.protocol import AuditReport, Count, Finding, Unlisted
from tasks.model.migration.markdown import code, plain, table
from tasks.model.migration.record import Record, page
from tasks.model.sanitize import printable

NOON = 1_772_366_400.0  # 2026-03-01 12:00:00 UTC
JOURNAL = Journal(
    host="oslo",
    v1="/home/andy/nanoclaw",
    root="/opt/nanoclaw",
    unit="nanoclaw.service",
    chats="ab",
    versions={"v1": "1.2.53", "v2": "2.0.64"},
    attempt=2,
    state="finished",
    steps=[
        JournalStep("first copy", "done", NOON - 60, NOON - 10.5, ""),
        JournalStep("stop v1", "done", NOON - 1, NOON, "nanoclaw.service is inactive"),
        JournalStep("gate", "running", NOON + 20, None, ""),
    ],
    stopped=NOON,
    serving=NOON + 23.4,
    aside=False,
)
AUDIT = AuditReport(
    counts={"groups": Count(2, 2), "tasks": Count(3, 2)},
    lost=[],
    left=[Finding("task done", "their group is not registered")],
    more=Unlisted(0, 4),
    digest="ab" * 32,
)
RECORD = Record(JOURNAL, AUDIT, "/var/backups/nanoclaw-v1.tar")


def test_page_reports_steps_and_the_rollback() -> None:
    assert page(RECORD) == (
        "# Migration of oslo from NanoClaw v1 to v2\n\n"
        "It is finished, and NanoClaw v2 serves (attempt 2).\n\n"
        "- NanoClaw v1 1.2.53 in `/home/andy/nanoclaw`, run by `nanoclaw.service`\n"
        "- NanoClaw v2 2.0.64 in `/opt/nanoclaw`\n"
        "- backup of v1: `/var/backups/nanoclaw-v1.tar`\n"
        "- without service: 23.4 s, from 2026-03-01 12:00:00 UTC (v1 was stopped) to 2026-03-01 12:00:23 UTC"
        " (gate passed)\n\n"
        "## Steps\n\n"
        "| step | state | start | end | time |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| first copy | done | 2026-03-01 11:59:00 UTC | 2026-03-01 11:59:49 UTC | 49.5 s |\n"
        "| stop v1 | done | 2026-03-01 11:59:59 UTC | 2026-03-01 12:00:00 UTC | 1.0 s |\n"
        "| gate | running | 2026-03-01 12:00:20 UTC |  |  |\n\n"
        "- output of stop v1: `nanoclaw.service is inactive`\n\n"
        "## Before and after\n\n"
        "| what | in v1 | right in v2 |\n"
        "| --- | --- | --- |\n"
        "| groups | 2 | 2 |\n"
        "| tasks | 3 | 2 |\n\n"
        "## Lost\n\nNothing.\n\n"
        "## Skipped\n\n"
        "- `task done`: their group is not registered\n"
        "- and 4 more\n\n"
        "## Digests\n\n"
        f"- v1, at rest: `{'ab' * 32}`\n\n"
        "## Rollback\n\n"
        "Set `nanoclaw_v1_rollback = True` in the host's data and run the role again. It stops v2, keeps v2's files,\n"
        "and starts v1 as it was, in `/home/andy/nanoclaw` by `nanoclaw.service`.\n"
        "Messages since the migration stay in v2.\n"
    )


@pytest.mark.parametrize(
    ("differs", "texts"),
    [
        ({"audit": None, "backup": None}, ["No audit was made.", "none was made", "at rest: not taken"]),
        ({"journal": replace(JOURNAL, serving=None)}, ["without service: since 2026-03-01 12:00:00 UTC"]),
        ({"journal": replace(JOURNAL, state="staging", stopped=None)}, ["v1 was not stopped", "Not needed"]),
        ({"journal": replace(JOURNAL, state="rolled back")}, ["v1 serves again", "Remove `nanoclaw_v1_rollback` from"]),
        ({"journal": replace(JOURNAL, versions={})}, ["NanoClaw v1 of unknown version in"]),
        (
            {"audit": replace(AUDIT, lost=[Finding("env TZ", "not there")], more=Unlisted(1, 0))},
            ["- `env TZ`: not there\n- and 1 more"],
        ),
    ],
)
def test_page_reports_what_is_missing_or_wrong(differs: dict[str, Any], texts: list[str]) -> None:
    text = page(replace(RECORD, **differs))
    assert [part for part in texts if part not in text] == []


@given(st.text())
def test_name_in_a_page_is_escaped(text: str) -> None:
    shown = code(text)
    assert "\n" not in shown
    fence = re.match("`*", shown)
    assert fence
    if fence[0]:
        inner = shown[len(fence[0]) : -len(fence[0])]
        assert inner.split() == printable(" ".join(text.split())).split() and fence[0] not in re.findall("`+", inner)
    escaped = plain(text)
    assert "\n" not in escaped and not re.findall(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|&~#]", escaped)


def test_cell_cannot_end_its_table() -> None:
    assert table(("a",), [(plain("x | y\n\n# z"),)]) == ["| a |", "| --- |", r"| x \| y \# z |"]


def test_json_round_trip() -> None:
    assert decode(Journal, json.loads(json.dumps(asdict(JOURNAL))), "journal") == JOURNAL
    assert decode(AuditReport, json.loads(json.dumps(asdict(AUDIT))), "the audit") == AUDIT


@pytest.mark.parametrize("differs", [{"state": "elsewhere"}, {"versions": {"v3": "3"}}, {"steps": [{}]}, {"v1": None}])
def test_journal_of_another_shape_is_refused(differs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(differs))):
        decode(Journal, json.loads(json.dumps({**asdict(JOURNAL), **differs})), "journal")
