"""The journal of a transition, journal.json in its directory: for programs that import it.

Each change is written in one rename.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from typing import Any

from files.pods.common import atomic_write
from files.pods.common.protocol import decode
from files.pods.transition.documents import Head, Journal, JournalStep
from files.pods.transition.step_ids import StepId, step_id

OUTPUT_CHARS = 200_000
"""How much of a step's last output is kept."""


def upgraded(journal: dict[str, Any]) -> dict[str, Any]:
    """Return a journal that an earlier version wrote as this version writes it."""
    steps = [{"output": step.get("said", ""), **step, "id": step_id(step)} for step in journal.get("steps", [])]
    return {"chats": "", "aside": False, **journal, "steps": steps}


def read_journal(directory: str, name: str = "journal") -> Journal | None:
    """Return the journal; None where there is none yet. Raises ValueError for a file that is no journal."""
    try:
        with open(f"{directory}/{name}.json", encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        return None
    return decode(Journal, upgraded(content) if isinstance(content, dict) else content, name, exact=False)


class JournalFile:
    """Keep the journal on the disk at every moment."""

    def __init__(self, directory: str, head: Head) -> None:
        self.path = f"{directory}/journal.json"
        new = Journal(**vars(head), attempt=0, state="new", steps=[], stopped=None, serving=None, aside=False)
        self.content = read_journal(directory) or new

    def update(self, **changes: Any) -> None:
        """Write the journal with these changes."""
        self.content = replace(self.content, **changes)
        atomic_write.replace(self.path, json.dumps(asdict(self.content), indent=1).encode() + b"\n", 0o600)

    def begin(self, identity: StepId, name: str) -> None:
        """Write that a step begins."""
        step = JournalStep(name, "running", time.time(), None, "", identity)
        self.update(steps=[*self.content.steps, step])

    def end(self, succeeded: bool, output: str) -> None:
        """Write that the last step has ended, with its last output."""
        *before, step = self.content.steps
        ended = replace(step, ended=time.time(), output=output[-OUTPUT_CHARS:], state="done" if succeeded else "failed")
        self.update(steps=[*before, ended])
