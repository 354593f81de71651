"""Which access a host gets and why, or why none can work and what would, to the letter: tests/fixtures/access.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.model.access.choose_strategy import AccessError, choose
from tasks.model.access.identity import Ids, Squash, parse_squash
from tasks.model.access.session_lifecycle import Action
from tasks.model.access.strategy import CANNOT, NEEDED, anonymous, expected_life, obstacle, squash_for

CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[2] / "fixtures/access.yaml").read_text(encoding="utf-8")
)


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    place = {"managed": case.get("managed", False), "local": case.get("local", False)}
    squash = parse_squash(case["server"]) if "server" in case else None
    try:
        choice = choose(case["access"], Ids(*case["host"]), Ids(*case["agent"]), squash=squash, **place)
    except AccessError as refused:
        return {"refused": str(refused), "ways": refused.ways}
    return {"chosen": choice.name, "why": choice.reason}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_strategy_is_chosen_or_refused_with_this_text(case: dict[str, Any]) -> None:
    stated = {key: case[key] for key in ("chosen", "why", "refused", "ways") if key in case}
    assert outcome(case) == stated


def test_exports_have_the_squash_that_the_strategy_needs() -> None:
    agent, of_root = Ids(1000, 1001), Ids(1000, 0)
    assert squash_for("squash", agent) == Squash("all", agent)
    assert squash_for("native", agent) == Squash("root", agent)
    assert squash_for("chown", agent) == Squash("none")
    assert squash_for("squash", of_root) == Squash("all", Ids(1000, 1000))
    assert anonymous(agent) == agent


TEXTS: dict[Action, str] = {
    "host creates the session directory": "the host process cannot make a session",
    "host creates and writes inbound.db": "the host process cannot make inbound.db",
    "host creates outbound.db": "the host process cannot make outbound.db",
    "dockerd makes the mount points": "dockerd cannot make /workspace/agent, and no container starts",
    "agent reads inbound.db": "the agent cannot read its messages",
    "agent writes outbound.db": "the agent's container exits with code 1: attempt to write a readonly database",
    "agent touches .heartbeat": "the host process takes the agent for stuck and stops it",
    "agent writes into the group directory": "the agent cannot keep its memory",
    "agent writes into .claude-shared": "Claude Code cannot keep its sessions, and messages end without an answer",
    "host cleans claims in outbound.db": "the host process cannot clean up after an agent that died",
    "host writes inbound.db again": "the host process cannot add a message to a session",
    "host deletes .heartbeat": "the host process cannot remove the heartbeat of an agent that ended",
}


@pytest.mark.parametrize("action", TEXTS)
def test_denied_need_is_named_with_its_symptom(action: Action) -> None:
    agent = Ids(1000, 1000)
    life = expected_life("native", agent, agent, None)
    assert obstacle(life) is None
    denied = replace(life[action], outcome="denied", reason="the rule")
    assert obstacle({**life, action: denied}) == f"the rule: {TEXTS[action]}"
    unknown = replace(life[action], outcome="unknown", reason="unknown")
    assert obstacle({**life, action: unknown}) == f"unknown: {TEXTS[action]}"


def test_every_need_and_every_chowner_has_a_text() -> None:
    assert set(NEEDED) == set(TEXTS)
    assert {action: text for action, text in CANNOT.items() if action not in TEXTS} == {
        f"{who} chowns the tree to the agent": f"the {long} cannot chown sessions to the agent"
        for who, long in (("host", "host process"), ("guard", "guard"), ("server", "server"))
    }


def test_chown_strategy_starts_with_roots_tree_and_a_guard() -> None:
    root, agent = Ids(0, 0), Ids(1000, 1000)
    chowned: Action = "guard chowns the tree to the agent"
    for squash in (None, Squash("none")):
        life = expected_life("chown", root, agent, squash)
        assert (life[chowned].outcome, obstacle(life)) == ("allowed", None)
    assert obstacle(expected_life("native", root, agent, None)) is not None
