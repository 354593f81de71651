"""What NanoClaw's setup reports of a skill that it applied, in each of its forms.

scripts/skill-headless.ts prints a JSON document, setup/lib/skill-driver.ts and setup/index.ts blocks of KEY: value, and
setup/install-NAME.sh a line `STATUS: installed`. An exit status alone means nothing: a driver that waits for an answer
on a closed terminal ends with 0.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from files.pods.common.failure_text import find_cause
from files.pods.common.sanitize import escape_control

NO_VALUE = re.compile(r"No value yet for: (.+)")
NEEDS_AGENT = re.compile(r"Needs an agent \(([a-z-]+)\): (.+)")
PERSONS = frozenset({"run", "operator", "prompt"})
"""Steps of a skill that its code does not depend on: a login, a pairing, a restart. The role builds by itself."""
MOST = 8
"""Reasons of one skill that are shown."""


@dataclass(frozen=True)
class SkillResult:
    """What became of a skill."""

    applied: bool
    """Whether all of it was applied."""
    inputs: tuple[str, ...] = ()
    """What it wants to know, and nobody entered."""
    left: tuple[str, ...] = ()
    """Its steps that are left to a person."""
    failed: tuple[str, ...] = ()
    """Why its code is not in the checkout."""

    @property
    def is_in(self) -> bool:
        """Whether its code is in the checkout, as far as it reports."""
        return self.applied or not self.failed


def shown(text: Any) -> str:
    """Return a text of the setup in one bounded line."""
    return escape_control(" ".join(str(text).split())[:300])


def cause_of(output: str, status: int) -> tuple[str, ...]:
    """Return the lines that name a cause."""
    return tuple(find_cause(output)[:MOST]) or (f"it printed nothing (status {status})",)


def document_in(output: str) -> dict[str, Any] | None:
    """Return the last JSON object that begins a line of the output."""
    last = None
    for match in re.finditer(r"^\{", output, re.MULTILINE):
        try:
            document, _end = json.JSONDecoder().raw_decode(output, match.start())
        except (ValueError, RecursionError):
            continue
        last = document
    return last if isinstance(last, dict) else None


def block_in(output: str, name: str) -> dict[str, str]:
    """Return the fields of the last block of that name."""
    blocks = re.findall(rf"^=== NANOCLAW SETUP: {name} ===$(.*?)^=== END ===$", output, re.MULTILINE | re.DOTALL)
    pairs = (line.partition(":") for line in blocks[-1].splitlines()) if blocks else ()
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def split_tasks(tasks: list[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the reasons of steps that are left to a person, and of those that the code needs."""
    left = [shown(reason) for kind, reason in tasks if kind in PERSONS]
    failed = [shown(f"{kind}: {reason}") for kind, reason in tasks if kind not in PERSONS]
    return tuple(left[:MOST]), tuple(failed[:MOST])


def read_headless(output: str, status: int) -> SkillResult:
    """Read the report of scripts/skill-headless.ts; a skill that is not applied in whole was rolled back."""
    report = document_in(output)
    if report is None:
        return SkillResult(False, failed=cause_of(output, status))
    entries = {key: value if isinstance(value, list) else [] for key, value in report.items()}
    if report.get("status") == "applied" and status == 0:
        return SkillResult(True, left=tuple(map(shown, entries.get("pendingEffects", [])[:MOST])))
    tasks = [task for task in entries.get("agentTasks", []) if isinstance(task, dict)]
    inputs = tuple(map(shown, entries.get("deferred", [])[:MOST]))
    reasons = [shown(f"{task.get('kind')}: {task.get('reason')}") for task in tasks]
    reasons += [shown(report["error"])] if report.get("error") else []
    reasons = reasons or [f"it wants {name}" for name in inputs] or [f"its report has status {report.get('status')}"]
    return SkillResult(False, inputs, failed=tuple(map(shown, reasons[:MOST])))


def read_driver(output: str, status: int) -> SkillResult:
    """Read what setup/lib/skill-driver.ts prints. What it could not apply stays half applied."""
    block = block_in(output, "SKILL_APPLY")
    if status == 0 and (block.get("STATUS") == "success" or (not block and "fully applied" in output)):
        return SkillResult(True)
    inputs = [name for line in NO_VALUE.findall(output) for name in line.split(", ")]
    left, failed = split_tasks(NEEDS_AGENT.findall(output))
    if not inputs and not left and not failed:
        failed = cause_of(output, status)
    return SkillResult(False, tuple(map(shown, inputs[:MOST])), left, failed)


def read_script(output: str, status: int) -> SkillResult:
    """Read what setup/install-NAME.sh prints."""
    lines = [line.strip() for line in reversed(output.splitlines())]
    stated = next((line.partition(":")[2].strip() for line in lines if line.startswith("STATUS:")), "")
    if stated in ("installed", "already-installed"):
        return SkillResult(True)
    return SkillResult(False, failed=cause_of(output, status))


def read_step(output: str, status: int) -> SkillResult:
    """Read what a step of setup/index.ts prints: it fails by its status, or by a block that says so."""
    blocks = re.findall(r"^=== NANOCLAW SETUP: (\w+) ===$", output, re.MULTILINE)
    states = [block_in(output, name) for name in dict.fromkeys(blocks)]
    failed = [block for block in states if block.get("STATUS") == "failed"]
    if status == 0 and not failed:
        return SkillResult(True)
    reasons = tuple(shown(block.get("HINT") or block["ERROR"]) for block in failed if block.get("ERROR"))
    return SkillResult(False, failed=reasons[:MOST] or cause_of(output, status))
