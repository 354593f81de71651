"""Runs the steps of a migration, whatever becomes of the run that asked for it; puts v1 back where they fail.

Argument: {"directory", "back": true for systemd's ExecStopPost=}. DIRECTORY/work.json says what to do:
{"part": "staging" or "switching", "head": {…}, "steps": [{"name", "argv", "input", "seconds"}…], "back": {…},
"marker": path}. Each step is noted in DIRECTORY/journal.json before and after
(tasks.model.migration.journal.Journal), each time in one rename. Steps repeat safely.

A switch that does not come to its end, since a step failed or since this process was killed, is undone by `back`.
After a crash of the machine v1 has started by itself (files/pods/migration/unit_conditions.py); the next call notes it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from files.pods.common.atomic_write import replace

BACK, TRIES = 420, 2
"""Seconds to put v1 back, more than files/pods/migration/rollback.py gives its own commands, and how often."""
SAID = 200_000  # characters of a step's last words that are kept
PIPE = (
    10_000  # of them, those that are printed: more than a pipe holds would have the end of a switch wait for a reader
)


class Notes:
    """The journal, on the disk at every moment."""

    def __init__(self, directory: str) -> None:
        self.path = f"{directory}/journal.json"
        try:
            with open(self.path, encoding="utf-8") as file:
                self.all: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            self.all = {"state": "new", "attempt": 0, "steps": [], "stopped": None, "serving": None, "aside": False}

    def keep(self, **news: Any) -> None:
        self.all.update(news)
        replace(self.path, json.dumps(self.all, indent=1).encode() + b"\n", 0o600)

    def begin(self, name: str) -> dict[str, Any]:
        step = {"name": name, "state": "running", "started": time.time(), "ended": None, "said": ""}
        self.all["steps"].append(step)
        self.keep()
        return step

    def end(self, step: dict[str, Any], good: bool, said: str) -> None:
        step.update(state="done" if good else "failed", ended=time.time(), said=said[-SAID:])
        self.keep()


def run(argv: list[str], said: str, seconds: int) -> tuple[bool, str]:
    """Whether a program ended well within its time, and its last words; none of what it started is left."""
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return False, f"{argv[0]}: {error}"
    try:
        out, err = child.communicate(said, timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return False, f"no end within {seconds} s"
    if child.returncode != 0:
        return False, err.strip() or out.strip() or f"status {child.returncode}"
    lines = out.strip().splitlines()
    return True, lines[-1] if lines else ""


def put_back(notes: Notes, work: dict[str, Any]) -> None:
    """Ends a switch that came to no end: v2 where it had been decided already, otherwise v1.

    A full disk does not keep v1 down: it is put back whether or not that can be noted.
    """
    if os.path.exists(work["marker"]):
        notes.keep(state="finished")
        return
    with suppress(OSError):
        notes.begin("put v1 back")
    step = notes.all["steps"][-1]
    for _ in range(TRIES):
        good, said = run(work["back"]["argv"], work["back"]["input"], BACK)
        if good:
            break
    with suppress(OSError):
        notes.end(step, good, said)
        if good:
            notes.keep(state="rolled back", serving=step["ended"])
    if not good:
        sys.exit(f"v1 could not be put back: {said[-PIPE:]}")


def main(directory: str, back: bool) -> None:
    with open(f"{directory}/work.json", encoding="utf-8") as file:
        work = json.load(file)
    notes = Notes(directory)
    if notes.all["state"] == "switching":
        put_back(notes, work)
    if back:
        return
    fresh: dict[str, Any] = {}
    if work["part"] == "staging":
        # What was made ready and never switched to is gone on with, if v1 is the same and has the same chats.
        same = all(notes.all.get(key, work["head"].get(key)) == work["head"].get(key) for key in ("v1", "chats"))
        aside = notes.all.get("aside", False) or notes.all["state"] not in ("new", "staged") or not same
        fresh = {"attempt": notes.all["attempt"] + 1, "steps": [], "stopped": None, "serving": None, "aside": aside}
    notes.keep(state=work["part"], **work["head"], **fresh)
    for planned in work["steps"]:
        step = notes.begin(planned["name"])
        if planned["name"] == "stop v1":
            notes.keep(stopped=step["started"])
        good, said = run(planned["argv"], planned["input"], planned["seconds"])
        notes.end(step, good, said)
        if not good:
            sys.exit(f"{planned['name']}: {said[-PIPE:]}")
        if planned["name"] == "put an earlier attempt aside":
            notes.keep(aside=False)
        if planned["name"] == "prove v2":
            notes.keep(serving=step["ended"])
        if planned["name"] == "decide for v2":
            notes.keep(state="finished")
    if work["part"] == "staging":
        notes.keep(state="staged")


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    main(asked["directory"], asked["back"])
