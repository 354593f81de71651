"""Has the machine itself run a part of a migration, and follows it.

Argument: {"directory", "service": name of a transient unit, "seconds"}. Standard input: {"archive": in base64, of
files/pods/migration/runner.py and the steps' programs, "file": where it is written, "work": its work.json}. The unit
goes on when this program, its connection or its controller ends (systemd-run(1)). Answer: the journal. Fails with the
words of the step that failed, and says whether v1 runs.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.migration.journal import read_journal
from files.pods.migration.step_ids import StepId

GOAL = {"staging": "staged", "switching": "finished"}


def journal(directory: str) -> dict[str, Any]:
    """Return the journal, or that of a migration which has not begun."""
    return read_journal(directory) or {"state": "new", "steps": []}


def refuse_if_under_way(service: str, directory: str) -> None:
    shown = subprocess.run(
        ["systemctl", "show", "--property=ActiveState", "--value", service], capture_output=True, text=True, timeout=60
    )
    if shown.stdout.strip() not in ("inactive", "failed"):
        running = [step["name"] for step in journal(directory)["steps"] if step["state"] == "running"]
        at = f" (now: {', '.join(running)})" if running else ""
        sys.exit(
            f"a migration is under way on this machine{at}: wait for its end (systemctl status {service}) and run again"
        )


def follow(child: subprocess.Popen[str], directory: str, seconds: int) -> None:
    """Prints each step when it has ended."""
    begun, told = time.time(), 0
    while True:
        done = child.poll() is not None
        steps = [step for step in journal(directory)["steps"] if step["started"] >= begun]
        while told < len(steps) and steps[told]["state"] != "running":
            step = steps[told]
            print(f"{step['name']}: {step['state']} ({step['ended'] - step['started']:.1f} s)", flush=True)
            told += 1
        if done:
            return
        if time.time() > begun + seconds:
            sys.exit(f"no end within {seconds} s; it goes on: see systemctl status, and run again when it is done")
        time.sleep(0.3)


def failure(found: dict[str, Any], trying: str) -> str:
    failed = next((step for step in found["steps"] if step["state"] in ("failed", "running")), None)
    why = f"{failed['name']}: {failed['said'] or 'it was ended from outside'}" if failed else "it did not start"
    back = found["steps"][-1] if found["steps"] and found["steps"][-1]["id"] == StepId.ROLL_BACK else None
    if found["state"] == "rolled back":
        return f"{why}\nv1 is back as it was; what v2 has so far is kept; the next run begins again"
    if found["state"] == "switching":
        way_out = f"see to it, and run again; or remove {trying} and start v1's service"
        return f"{why}\nv1 may be stopped, it could not be put back: {back['said'] if back else why}: {way_out}"
    return f"{why}\nv1 was not touched"


def keep_archive(directory: str, file: str, archive: bytes) -> None:
    """Write the programs of a migration once; remove those of an earlier role, which no migration runs any more."""
    if not os.path.exists(file):
        replace(file, archive, 0o600)
    for name in os.listdir(directory):
        if name == "run.py" or (name.startswith("programs-") and f"{directory}/{name}" != file):
            os.unlink(f"{directory}/{name}")


def main(asked: dict[str, Any], fed: dict[str, Any]) -> None:
    directory, service = asked["directory"], asked["service"]
    os.makedirs(directory, mode=0o700, exist_ok=True)
    refuse_if_under_way(service, directory)
    keep_archive(directory, fed["file"], base64.b64decode(fed["archive"]))
    replace(f"{directory}/work.json", json.dumps(fed["work"]).encode(), 0o600)
    run = ["/usr/bin/env", "python3", "-I", fed["file"], "migration.runner"]
    request, back_request = (json.dumps({"directory": directory, "back": back}) for back in (False, True))
    unit = ["systemd-run", f"--unit={service}", "--collect", "--quiet", "--wait", "--pipe"]
    back = ["--property=TimeoutStopSec=900", f"--property=ExecStopPost={' '.join(run)} '{back_request}'"]
    before = journal(directory)
    child = subprocess.Popen(
        [*unit, *back, "--", *run, request],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    follow(child, directory, asked["seconds"])
    said = child.stderr.read().strip() if child.stderr else ""
    found = journal(directory)
    if found == before:
        sys.exit(f"nothing has begun: {said or f'systemd-run ended with {child.returncode}'}")
    if found["state"] != GOAL[fed["work"]["part"]]:
        print(failure(found, fed["work"]["trying"]), file=sys.stderr)
        sys.exit(1)  # whatever the text is
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), json.load(sys.stdin))
