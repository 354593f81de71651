"""What NanoClaw's setup reports of a skill, in each of its forms, and what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from files.pods.source.skill_results import (
    SkillResult,
    read_driver,
    read_headless,
    read_script,
    read_step,
)

DONE = SkillResult(True)
BLOCK = "=== NANOCLAW SETUP: {name} ===\nSTATUS: {status}\nSKILL: x\n=== END ===\n"


def report(**fields: Any) -> str:
    return "Lockfile is up to date\n{ not a report\n" + json.dumps(fields, indent=2) + "\n"


@pytest.mark.parametrize(
    ("output", "status", "result"),
    [
        (report(status="applied", pendingEffects=["restart"]), 0, SkillResult(True, left=("restart",))),
        (report(status="applied"), 0, DONE),
        (
            report(status="rolled-back", deferred=["bot_token"]),
            1,
            SkillResult(False, ("bot_token",), (), ("it wants bot_token",)),
        ),
        (report(status="failed", error="unknown\nskill"), 1, SkillResult(False, failed=("unknown skill",))),
        (
            report(status="rolled-back", deferred=["a"], agentTasks=[{"kind": "dep", "line": 3, "reason": "404"}, 7]),
            1,
            SkillResult(False, ("a",), failed=("dep: 404",)),
        ),
        (report(status="applied"), 1, SkillResult(False, failed=("its report has status applied",))),
        (report(status="applied", pendingEffects="restart"), 0, DONE),
        ("", 0, SkillResult(False, failed=("it printed nothing (status 0)",))),
        ("[1]\n", 1, SkillResult(False, failed=("[1]",))),
    ],
)
def test_headless_report(output: str, status: int, result: SkillResult) -> None:
    assert read_headless(output, status) == result


@pytest.mark.parametrize(
    ("output", "status", "result"),
    [
        (BLOCK.format(name="SKILL_APPLY", status="success"), 0, DONE),
        ("└  Done — fully applied.\n", 0, DONE),
        ("└  Done — fully applied.\n", 1, SkillResult(False, failed=("└ Done — fully applied.",))),
        (
            "│ ▲  No value yet for: token, owner\n" + BLOCK.format(name="SKILL_APPLY", status="failed"),
            1,
            SkillResult(False, ("token", "owner")),
        ),
        (
            "▲  Needs an agent (run): blocked by an earlier failure\n▲  Needs an agent (dep): 404\n",
            1,
            SkillResult(False, left=("blocked by an earlier failure",), failed=("dep: 404",)),
        ),
        ("", 0, SkillResult(False, failed=("it printed nothing (status 0)",))),
        (BLOCK.format(name="OTHER", status="success"), 0, SkillResult(False, failed=("SKILL: x",))),
    ],
)
def test_driver_output(output: str, status: int, result: SkillResult) -> None:
    assert read_driver(output, status) == result


@pytest.mark.parametrize(
    ("output", "status", "result"),
    [
        ("", 0, DONE),
        (BLOCK.format(name="ONECLI", status="success"), 0, DONE),
        (BLOCK.format(name="ONECLI", status="failed"), 0, SkillResult(False, failed=("SKILL: x",))),
        (
            "=== NANOCLAW SETUP: ONECLI ===\nSTATUS: failed\nERROR: no_server\nHINT: start\tit\n=== END ===\n",
            1,
            SkillResult(False, failed=("start it",)),
        ),
        (
            "=== NANOCLAW SETUP: ONECLI ===\nSTATUS: failed\nERROR: no_server\n=== END ===\n",
            0,
            SkillResult(False, failed=("no_server",)),
        ),
        ("Error: no\n", 2, SkillResult(False, failed=("Error: no",))),
    ],
)
def test_step_output(output: str, status: int, result: SkillResult) -> None:
    assert read_step(output, status) == result


@pytest.mark.parametrize("stated", ["installed", "already-installed"])
def test_script_states_its_success(stated: str) -> None:
    assert read_script(f"STATUS: failed\nSTATUS: {stated}\n", 1) == DONE
    assert read_script("STATUS: failed\nError: why\n", 0) == SkillResult(False, failed=("Error: why",))


def test_skill_is_in_the_checkout_unless_its_code_failed() -> None:
    assert DONE.is_in and SkillResult(False, ("token",), ("a login",)).is_in
    assert not SkillResult(False, left=("a login",), failed=("dep: 404",)).is_in


def test_reasons_are_bounded_and_of_one_line() -> None:
    tasks = [{"kind": "dep", "reason": "x" * 1000 + "\x1b[2J"} for _ in range(20)]
    result = read_headless(report(status="failed", agentTasks=tasks), 1)
    assert len(result.failed) == 8 and all(len(text) <= 300 and "\x1b" not in text for text in result.failed)
