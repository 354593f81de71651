"""The journal of a migration, journal.json in its directory: for programs that import it.

Each change is written in one rename. The shape is tasks.model.migration.journal.Journal.
"""

from __future__ import annotations

import json
import time
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.migration.step_ids import StepId, step_id

OUTPUT_CHARS = 200_000
"""How much of a step's last output is kept."""


def with_ids(journal: dict[str, Any]) -> dict[str, Any]:
    """Add the ids of steps to a journal that an earlier version wrote without."""
    return {**journal, "steps": [{**step, "id": step_id(step)} for step in journal.get("steps", [])]}


def read_journal(directory: str) -> dict[str, Any] | None:
    """Return the journal; None where there is none yet."""
    try:
        with open(f"{directory}/journal.json", encoding="utf-8") as file:
            return with_ids(json.load(file))
    except FileNotFoundError:
        return None


class JournalFile:
    """Keep the journal on the disk at every moment."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/journal.json"
        new = {"state": "new", "attempt": 0, "steps": [], "stopped": None, "serving": None, "aside": False}
        self.content: dict[str, Any] = read_journal(directory) or new

    def update(self, **changes: Any) -> None:
        """Write the journal with these changes."""
        self.content.update(changes)
        replace(self.path, json.dumps(self.content, indent=1).encode() + b"\n", 0o600)

    def begin(self, identity: StepId, name: str) -> dict[str, Any]:
        """Write that a step begins; return its entry."""
        step = {"id": identity, "name": name, "state": "running", "started": time.time(), "ended": None, "said": ""}
        self.content["steps"].append(step)
        self.update()
        return step

    def end(self, step: dict[str, Any], succeeded: bool, output: str) -> None:
        """Write that a step has ended, with its last output."""
        step.update(state="done" if succeeded else "failed", ended=time.time(), said=output[-OUTPUT_CHARS:])
        self.update()
