"""Which access a host gets and why, or why none can work and what would, to the letter: tests/fixtures/access.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.model.access.identity import Ids, Squash, parse_squash
from tasks.model.access.strategy import AccessError, anonymous, choose, squash_for

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
    return {"chosen": choice.access, "why": choice.reason}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_an_access_is_chosen_or_refused_in_these_words(case: dict[str, Any]) -> None:
    stated = {key: case[key] for key in ("chosen", "why", "refused", "ways") if key in case}
    assert outcome(case) == stated


def test_the_role_exports_with_what_an_access_needs() -> None:
    agent, of_root = Ids(1000, 1001), Ids(1000, 0)
    assert squash_for("squash", agent) == Squash("all", agent)
    assert squash_for("native", agent) == Squash("root", agent)
    assert squash_for("chown", agent) == Squash("none")
    assert squash_for("squash", of_root) == Squash("all", Ids(1000, 1000))
    assert anonymous(agent) == agent
