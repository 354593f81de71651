"""Run a part of a transition as a transient systemd unit, and print its progress.

The unit continues when this program, its connection or its controller ends (systemd-run(1)). Reply: the journal. Fails
with the output of the step that failed, and says what runs.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import decode, read_request
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.run_command import run_command
from files.pods.transition.boot_rollback import UNITS
from files.pods.transition.documents import (
    BAD_VERSIONS,
    MOST_FAILURES,
    NEXT_WORK,
    WORK,
    Journal,
    JournalStep,
    Work,
)
from files.pods.transition.journal import read_journal
from files.pods.transition.protocol import RunnerRequest, StartPayload, StartRequest
from files.pods.transition.step_ids import StepId
from files.pods.transition.timeouts import ROLLBACK_TRIES

LARGEST_WORK = 64 << 20
GOAL = {"staging": "staged", "switching": "finished"}


def steps_of(directory: str) -> list[JournalStep]:
    """Return the steps of the journal, if there is one."""
    journal = read_journal(directory)
    return journal.steps if journal else []


def refuse_if_under_way(service: str, directory: str, what: str) -> None:
    """Exit if a transition runs on this machine, and name its step."""
    shown = run_command(["systemctl", "show", "--property=ActiveState", "--value", service], timeout=60)
    if shown.stdout.strip() not in ("inactive", "failed"):
        running = [step.name for step in steps_of(directory) if step.state == "running"]
        at = f" (now: {', '.join(running)})" if running else ""
        sys.exit(
            f"a {what} is under way on this machine{at}: wait for its end (systemctl status {service}) and run again"
        )


def follow(child: subprocess.Popen[str], directory: str, seconds: int) -> None:
    """Print each step when it has ended; return when the unit ends."""
    started, printed = time.time(), 0
    while True:
        done = child.poll() is not None
        steps = [step for step in steps_of(directory) if step.started >= started]
        while printed < len(steps) and (ended := steps[printed].ended) is not None:
            step = steps[printed]
            print(f"{step.name}: {step.state} ({ended - step.started:.1f} s)", flush=True)
            printed += 1
        if done:
            return
        if time.time() > started + seconds:
            sys.exit(f"no end within {seconds} s. It continues: see systemctl status, and run again when it has ended.")
        time.sleep(0.3)


def failure(journal: Journal, trying: str, bad: str) -> str:
    """Return which step failed, with its output, what serves now, and what to do.

    + bad: the file with the versions that failed
    """
    old = journal.old_name
    failed = next((step for step in journal.steps if step.state in ("failed", "running")), None)
    why = f"{failed.name}: {failed.output or 'it was killed'}" if failed else "it did not start"
    back = next((step for step in journal.steps[-1:] if step.id == StepId.ROLL_BACK), None)
    if journal.state == "rolled back":
        kept = " v2's files are kept." if journal.v1 else ""
        goes_on = "The next run starts again."
        if (count := failures_of(back)) >= MOST_FAILURES:
            goes_on = (
                f"It has failed {count} times here: the next run leaves this machine alone until you set another "
                f"nanoclaw_ref, or remove {bad}."
            )
        return f"{why}\nRolled back: {old} is as it was.{kept} {goes_on}"
    if journal.state == "switching":
        cause = back.output if back else why
        if not journal.v1:
            return (
                f"{why}\nThe rollback to {old} is not complete: {cause}. It was started with what is there. Remove the "
                "cause, and run again, which ends the rollback first."
            )
        way_out = f"Remove the cause, and run again; or remove {trying} and start v1's service."
        return f"{why}\n{old} may be stopped: the rollback failed ({cause}). {way_out}"
    return f"{why}\n{old} was not changed."


def failures_of(back: JournalStep | None) -> int:
    """Return how often the version has failed on this machine, as the reply of its rollback says."""
    with suppress(ValueError, TypeError, AttributeError):
        return int(json.loads(back.output if back else "").get("failures", 0))
    return 0


def keep_archive(directory: str, file: str, archive: bytes) -> None:
    """Write the programs of a transition once; remove those that nothing runs any more.

    The unit of a boot runs those of the part that wrote it, and an undecided switch those of its own part.
    """
    if not os.path.exists(file):
        replace(file, archive, 0o600)
    needed = "\n".join([file, *map(text_of, glob.glob(f"{UNITS}/nanoclaw-pods-*.service"))])
    if is_undecided(directory):
        needed += text_of(f"{directory}/{WORK}")
    for name in os.listdir(directory):
        if name == "run.py" or (name.startswith("programs-") and f"{directory}/{name}" not in needed):
            os.unlink(f"{directory}/{name}")


def text_of(path: str) -> str:
    """Return the text of a file; empty without it."""
    return read_untrusted_bytes(path, max_bytes=LARGEST_WORK).decode("utf-8", "replace") if os.path.exists(path) else ""


def is_undecided(directory: str) -> bool:
    """Return whether a switch has neither ended nor gone back."""
    journal = read_journal(directory)
    return journal is not None and journal.state == "switching"


def write_work(directory: str, work: Work) -> None:
    """Write the work for the runner; that of an undecided switch stays until the runner has ended it."""
    with suppress(FileNotFoundError):
        os.unlink(f"{directory}/{NEXT_WORK}")
    name = NEXT_WORK if is_undecided(directory) else WORK
    replace(f"{directory}/{name}", json.dumps(asdict(work)).encode(), 0o600)


def main(request: StartRequest, payload: StartPayload) -> None:
    """Start the unit, follow it, and print the journal; exit with the failure of a step."""
    directory, service, work = request.directory, request.service, payload.work
    os.makedirs(directory, mode=0o700, exist_ok=True)
    refuse_if_under_way(service, directory, work.head.what)
    keep_archive(directory, payload.file, base64.b64decode(payload.archive))
    write_work(directory, work)
    run = ["/usr/bin/env", "python3", "-I", payload.file, RunnerRequest.entry]
    requests = (RunnerRequest(directory, back).document() for back in (False, True))
    run_request, back_request = map(json.dumps, requests)
    unit = ["systemd-run", f"--unit={service}", "--collect", "--quiet", "--wait", "--pipe"]
    stop = f"--property=TimeoutStopSec={ROLLBACK_TRIES * work.back.seconds + 60}"
    back = [stop, f"--property=ExecStopPost={' '.join(run)} '{back_request}'"]
    before = read_journal(directory)
    child = subprocess.Popen(
        [*unit, *back, "--", *run, run_request],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    follow(child, directory, request.seconds)
    output = child.stderr.read().strip() if child.stderr else ""
    after = read_journal(directory)
    if after is None or after == before:
        sys.exit(f"the {work.head.what} did not start: {output or f'systemd-run ended with {child.returncode}'}")
    if after.state != GOAL[work.part]:
        print(failure(after, work.trying, f"{directory}/{BAD_VERSIONS}"), file=sys.stderr)
        sys.exit(1)  # whatever the text is
    print(json.dumps(asdict(after)))


if __name__ == "__main__":
    main(read_request(StartRequest), decode(StartPayload, json.load(sys.stdin), "the payload"))
