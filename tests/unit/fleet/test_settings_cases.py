"""Host data and what it is refused for, as data: tests/settings_cases/*.yaml.

A case names what differs from a small fleet that is right. Its `problems` are all that is reported, in that order: on
which machine, for which key, for which reason. `text` is what an operator sees, where `…` stands for any text; each
message has it in one case. A case without `problems` is accepted.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.model.fleet.plan import FleetError, Machine, Problem
from tasks.model.fleet.plan_fleet import plan_fleet
from tests.reasons import OF_HOST_DATA, OF_MACHINES, OF_RUNS, reason_sites

CASES = Path(__file__).parents[2] / "settings_cases"
FLEET: dict[str, dict[str, Any]] = {
    "nfs1": {"groups": ["nfs_servers"], "ssh_hostname": "10.0.0.10"},
    "a": {"groups": ["nanoclaw_hosts"], "ssh_hostname": "10.0.0.11"},
}


def read_cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['case']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def machines(case: dict[str, Any]) -> list[Machine]:
    """The fleet of a case: `only` leaves out what the case does not name."""
    stated = {name: data for name, data in case.items() if name not in ("case", "problems", "only")}
    fleet = {} if case.get("only") else FLEET
    merged = {name: {**fleet.get(name, {}), **stated.get(name, {})} for name in [*fleet, *stated]}
    return [
        Machine(name, tuple(data["groups"]), {key: value for key, value in data.items() if key != "groups"})
        for name, data in merged.items()
    ]


def reported(case: dict[str, Any]) -> list[Problem]:
    try:
        plan_fleet(machines(case))
    except FleetError as error:
        return error.problems
    return []


def pattern(text: str) -> str:
    """A regular expression for a text in which … stands for any."""
    return ".*".join(re.escape(part) for part in text.split("…"))


@pytest.mark.parametrize("case", read_cases())
def test_exactly_these_problems_are_reported(case: dict[str, Any]) -> None:
    expected, got = case.get("problems", []), reported(case)
    stated = [(one["machine"], one["key"], one["reason"]) for one in expected]
    assert [(problem.machine, problem.key, problem.reason) for problem in got] == stated
    for one, problem in zip(expected, got, strict=True):
        assert re.fullmatch(pattern(one.get("text", "…")), problem.text), (one, problem.text)
        assert str(problem) == f"{problem.machine}: {problem.key}: {problem.text}"
        assert "HUSH" not in str(problem)


BESIDE_YAML: dict[str, tuple[dict[str, Any], str]] = {
    "not-utf-8": (
        {"nanoclaw_env": {"NOTE": "\udcff"}},
        "a value that is not shown (NOTE) is refused: expects one line of text in UTF-8; this holds bytes that are "
        "none (a variable of the run's environment?)",
    ),
    "value-too-long": (
        {"nanoclaw_env": {"NOTE": "x" * 32_769}},
        "a value that is not shown (NOTE) is refused: expects one line of text of at most 32768 bytes",
    ),
    "variables-too-long": (
        {"nanoclaw_env": {f"NOTE_{n}": "x" * 1000 for n in range(10, 80)}},
        "a value that is not shown is refused: expects variables of at most 65536 bytes in all; these are 70630",
    ),
    "word-not-utf-8": (
        {"nanoclaw_gate": ["\udcff"]},
        "'\\udcff' (entry 1) is refused: expects a word in UTF-8; this holds bytes that are none (a variable of the "
        "run's environment?)",
    ),
    "command-too-long": (
        {"nanoclaw_gate": ["x" * 16_384]},
        "… is refused: expects a command of at most 16384 bytes; this has 16385",
    ),
    "git-ref-too-long": (
        {"nanoclaw_ref": "x" * 241},
        "… is refused: expects a tag, a branch or a commit of at most 240 characters",
    ),
    "git-url-too-long": (
        {"nanoclaw_repository": f"https://git.example.org/{'x' * 2000}"},
        "… is refused: expects a git URL of at most 2000 characters",
    ),
    "mount-options-too-long": (
        {"pods_mount_options": ["noatime"] * 129},
        "is too long: the kernel takes one page of mount options; use at most 1024 characters",
    ),
    "export-too-long": (
        {"groups": ["nanoclaw_hosts"], "ssh_hostname": "10.0.0.12"},
        f"is needed: /srv/pods/{'b' * 30}… is longer than 255 characters",
    ),
}
"""Reasons of data that YAML cannot hold, or not in a line that a reader takes in: the data, and the text."""

OF_NO_HOST_DATA = {"agent-is-root", "no-value"}
"""What the types of settings rule out before: tests/unit/access asserts the first."""


@pytest.mark.parametrize("reason", BESIDE_YAML)
def test_data_that_is_too_long_or_no_text_is_refused(reason: str) -> None:
    data, text = BESIDE_YAML[reason]
    (problem,) = reported({"b" * 246 if "groups" in data else "a": data})
    assert problem.reason == reason
    assert re.fullmatch(pattern(text), problem.text), problem.text


def test_each_reason_has_a_case_and_each_message_is_asserted_once() -> None:
    problems = [problem for case in read_cases() for problem in case.values[0].get("problems", [])]
    texts = Counter((problem["reason"], problem["text"]) for problem in problems if "text" in problem)
    reasons = set(reason_sites(OF_HOST_DATA)) - set(BESIDE_YAML) - OF_NO_HOST_DATA
    assert {problem["reason"] for problem in problems} == reasons
    assert {reason for reason, _text in texts} == reasons
    assert [text for text, times in texts.items() if times > 1] == []


def test_each_reason_is_a_word_of_its_own() -> None:
    """Two functions that refuse for one reason would be one check that is written twice."""
    sites = reason_sites([*OF_HOST_DATA, *OF_MACHINES, *OF_RUNS])
    assert [reason for reason in sites if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", reason)] == []
    assert {reason: places for reason, places in sites.items() if len(places) > 1} == {}


def test_there_are_many_cases_and_each_has_a_name_of_its_own() -> None:
    names = [case.id for case in read_cases()]
    assert len(names) == len(set(names))
    assert sum(bool(case.values[0].get("problems")) for case in read_cases()) >= 150
