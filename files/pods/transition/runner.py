"""Run the steps of a transition, whatever becomes of the run that requested it; roll back if one fails.

work.json in its directory has the Work that files/pods/transition/start.py wrote from the same archive. journal.json
has each step before and after it runs. Steps repeat safely. While a switch is undecided its own Work stays, and the
next one waits beside it.

A switch that does not end, since a step failed or this process was killed, is rolled back by `back`. After a crash of
the machine the old version starts by itself (unit_conditions.py of v1, boot_rollback.py); the next call writes that
down.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

from files.pods.common.atomic_write import rename_to_disk
from files.pods.common.protocol import decode, read_request
from files.pods.transition.documents import NEXT_WORK, WORK, Head, Journal, PlannedStep, Work
from files.pods.transition.journal import JournalFile
from files.pods.transition.protocol import RunnerRequest
from files.pods.transition.step_ids import Mark
from files.pods.transition.timeouts import ROLLBACK_TRIES

PRINTED_CHARS = 10_000  # of a failed step's output: more than a pipe holds would block the end of a switch


def run(step: PlannedStep) -> tuple[bool, str]:
    """Run a step with its deadline; return whether it succeeded, and its last output. No child of it is left."""
    try:
        child = subprocess.Popen(
            step.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        return False, f"{step.argv[0]}: {error}"
    try:
        out, err = child.communicate(step.input, timeout=step.seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return False, f"no end within {step.seconds} s"
    if child.returncode != 0:
        return False, err.strip() or out.strip() or f"status {child.returncode}"
    lines = out.strip().splitlines()
    return True, lines[-1] if lines else ""


def finish_interrupted(journal: JournalFile, work: Work) -> None:
    """End a switch that was interrupted: at the new version if that was committed, otherwise roll back.

    A full disk does not keep the old version down: the rollback runs whether or not the journal can be written.
    """
    if os.path.exists(work.marker):
        journal.update(state="finished")
        return
    back = work.back
    with suppress(OSError):
        journal.begin(back.id, back.name)
    for _ in range(ROLLBACK_TRIES):
        succeeded, output = run(back)
        if succeeded:
            break
    with suppress(OSError):
        journal.end(succeeded, output)
        if succeeded:
            journal.update(state="rolled back", serving=journal.content.steps[-1].ended)
    if not succeeded:
        sys.exit(f"could not roll back to {work.head.old_name}: {output[-PRINTED_CHARS:]}")


def new_attempt(content: Journal, head: Head) -> dict[str, Any]:
    """Return what the journal has at the start of an attempt.

    Staging that was never switched to is reused if v1 is the same and has the same chats.
    """
    same = content.v1 == head.v1 and content.chats in ("", head.chats)  # an early journal has no chats
    archive = content.aside or content.state not in ("new", "staged") or not same
    return {"attempt": content.attempt + 1, "steps": [], "stopped": None, "serving": None, "aside": archive}


def run_step(journal: JournalFile, planned: PlannedStep) -> None:
    """Run one step and write it, and what its marks mean, to the journal; exit if it fails."""
    journal.begin(planned.id, planned.name)
    if Mark.STOPS_SERVICE in planned.marks:
        journal.update(stopped=journal.content.steps[-1].started)
    succeeded, output = run(planned)
    journal.end(succeeded, output)
    if not succeeded:
        sys.exit(f"{planned.name}: {output[-PRINTED_CHARS:]}")
    if Mark.ARCHIVES_ATTEMPT in planned.marks:
        journal.update(aside=False)
    if Mark.PROVES_NEW in planned.marks:
        journal.update(serving=journal.content.steps[-1].ended)
    if Mark.POINT_OF_NO_RETURN in planned.marks:
        journal.update(state="finished")


def read_work(directory: str) -> Work:
    """Return the work of the last part; the next one, if an earlier role wrote that and it is not understood."""
    try:
        with open(f"{directory}/{WORK}", encoding="utf-8") as file:
            return decode(Work, json.load(file), WORK)
    except (OSError, ValueError):
        if not os.path.exists(f"{directory}/{NEXT_WORK}"):
            raise
    with open(f"{directory}/{NEXT_WORK}", encoding="utf-8") as file:
        return decode(Work, json.load(file), NEXT_WORK)


def main(directory: str, back: bool) -> None:
    """Run the steps of work.json; with `back`, only end a switch that was interrupted."""
    work = read_work(directory)
    journal = JournalFile(directory, work.head)
    if journal.content.state == "switching":
        finish_interrupted(journal, work)
    if back:
        return
    if os.path.exists(f"{directory}/{NEXT_WORK}"):
        rename_to_disk(f"{directory}/{NEXT_WORK}", f"{directory}/{WORK}")
        work = read_work(directory)
    fresh = new_attempt(journal.content, work.head) if work.part == "staging" else {}
    journal.update(state=work.part, **vars(work.head), **fresh)
    for planned in work.steps:
        run_step(journal, planned)
    if work.part == "staging":
        journal.update(state="staged")


if __name__ == "__main__":
    main(**vars(read_request(RunnerRequest)))
