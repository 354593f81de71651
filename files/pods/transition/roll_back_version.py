"""Roll a change of version back: stop the new version, put its code and data back, and start the old one.

Repeats safely, from any moment of a switch; what a switch has not begun stays as it is. Sessions and groups stay, with
what was written since. The old version starts whatever cannot be put back, and the rollback fails then, so that it is
repeated. At a boot systemd starts it, once this has ended.
Reply: {"notes": […], "failures": how often this commit has failed here}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from files.pods.common import run_lock
from files.pods.common.docker import stop_agents
from files.pods.common.protocol import read_request
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.run_command import run_command
from files.pods.service.serving import wait_until_serving
from files.pods.source.git_worktree import Tree, become_worker
from files.pods.source.image_record import put_record_back
from files.pods.source.merge_rows import put_back
from files.pods.source.stage_room import empty_stage
from files.pods.source.switch_image import switch_back
from files.pods.source.switch_to_stage import end_back, read_record, undo_files, undo_outputs
from files.pods.source.upgrade_marker import set_if_missing
from files.pods.transition import timeouts
from files.pods.transition.bad_versions import count_failure
from files.pods.transition.version_protocol import VersionRollbackRequest

BOOT = "NANOCLAW_PODS_BOOT"
"""Set by the unit that runs before NanoClaw's at a boot: a start from there would wait for itself."""
START_SECONDS = 180


def systemctl(*args: str, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    return run_command(["systemctl", *args], timeout=seconds, stderr=subprocess.STDOUT)


def stop(request: VersionRollbackRequest, *, at_boot: bool) -> list[str]:
    """Stop the new version and its agents; return what went wrong.

    At a boot nothing runs, and to stop the unit would cancel its start, which waits for this program.
    """
    wrong = []
    if not at_boot:
        try:
            stopped = systemctl("stop", request.unit, seconds=150).returncode == 0
        except subprocess.TimeoutExpired:
            stopped = False
        if not stopped:
            with suppress(subprocess.TimeoutExpired):
                systemctl("kill", "--signal=KILL", request.unit)
            wrong.append(f"{request.unit} did not stop and was killed")
    try:
        stop_agents(request.install, grace=10, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        wrong.append(f"agents may still run: {error}")
    return wrong


class HostWork:
    """Work in the project root as its owner, with one deadline for all of it."""

    def __init__(self, request: VersionRollbackRequest) -> None:
        self.request, self.root = request, request.root
        self.end = time.monotonic() + timeouts.CODE_AND_DATA

    def run(self, work: Callable[[], Any]) -> tuple[Any, str]:
        """Return the value of `work`, and an empty text; or why it failed."""
        reply = run_as(ROOT, max(1, self.end - time.monotonic()), lambda: self.as_owner(work))
        return reply.get("value"), str(reply["text"]) if "error" in reply else ""

    def run_with_room(self, work: Callable[[], Any]) -> tuple[Any, str]:
        """Do the same; if that fails, once more without the stage: the disk may be full."""
        value, why = self.run(work)
        if why:
            self.run(lambda: empty_stage(self.root))
            value, why = self.run(work)
        return value, why

    def as_owner(self, work: Callable[[], Any]) -> Any:
        become_worker(self.root, self.request.user, self.request.uid, self.request.gid)
        try:
            return work()
        except SystemExit as refused:
            raise RuntimeError(str(refused)) from None

    def put_back(self, record: dict[str, Any], notes: list[str]) -> list[str]:
        """Put code and database back to the state before a switch; return what that did not succeed with."""
        _, why = self.run(lambda: undo_outputs(self.root))
        if why:  # the new build may run on: it needs its own database, and the stage has the rest of it
            _, more = self.run(lambda: undo_files(self.root))
            return [f"the build was not put back: {why}", *([f"the code was not put back: {more}"] if more else [])]
        _, why = self.run_with_room(lambda: undo_files(self.root))
        missing = [f"the code was not put back: {why}"] if why else []
        _, unmarked = self.run(lambda: set_if_missing(self.root))
        notes += [f"the upgrade marker was not set: {unmarked}"] if unmarked else []
        text, why = self.run_with_room(lambda: put_back(self.root, record["copy"]))
        notes += [text] if text else []
        return [*missing, f"the database was not put back: {why}"] if why else missing


def main(request: VersionRollbackRequest) -> dict[str, Any]:
    """Roll back; exit if something could not be put back, or the old version does not serve."""
    at_boot = bool(os.environ.get(BOOT))
    with suppress(OSError):
        os.unlink(request.marker)
    if not at_boot:
        mark_trying(request.trying)
    notes = stop(request, at_boot=at_boot)
    missing, failures = put_all_back(request, notes)
    if not at_boot and (why := start(request)):
        if os.path.exists(request.ran):
            missing.append(why)
        else:
            notes.append(f"it did not run before either: {why}")
    if missing:
        sys.exit("; ".join([*missing, *notes]))
    with suppress(FileNotFoundError):
        os.unlink(request.trying)
    return {"notes": notes, "failures": failures}


def put_all_back(request: VersionRollbackRequest, notes: list[str]) -> tuple[list[str], int]:
    """Put back what a switch has changed; return what is missing, and how often the commit has failed."""
    try:
        run_lock.acquire(request.lock)
    except SystemExit as busy:
        return [f"nothing was put back: {busy}"], 0
    work = HostWork(request)
    record, why = work.run(lambda: read_record(Tree(request.root)))
    if why:
        return [f"nothing was put back, since the record of the switch cannot be read: {why}"], 0
    if not record:
        return [], 0
    missing = [*work.put_back(record, notes), *image_back(request)]
    failures = 0
    try:
        failures = count_failure(request.bad, record["commit"], request.version, record["id"])
    except OSError as error:
        notes.append(f"the failure was not counted: {error}")
    if not missing:
        _, why = work.run(lambda: end_back(request.root))
        missing += [f"the record of the switch was not removed: {why}"] if why else []
    return missing, failures


def mark_trying(path: str) -> None:
    """Write the file without which a start of NanoClaw's unit begins with the rollback of a boot, which is this one."""
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8"):
            pass


def image_back(request: VersionRollbackRequest) -> list[str]:
    """Put the image back, if the switch changed it; return what went wrong."""
    if request.image:
        try:
            switch_back(request.image)
            put_record_back(request.record)
        except (OSError, subprocess.SubprocessError) as error:
            return [f"the image was not put back: {error}"]
    return []


def start(request: VersionRollbackRequest) -> str:
    """Start the old version; return why it does not serve, or nothing."""
    try:
        systemctl("reset-failed", request.unit)
        started = systemctl("start", request.unit, seconds=300)
    except subprocess.SubprocessError as error:
        return f"{request.unit} does not start: {error}"
    if started.returncode != 0:
        return f"{request.unit} does not start: {started.stdout}"
    now = wait_until_serving(request.unit, request.root, (request.uid, request.gid), START_SECONDS)
    return "" if now.answers else now.why


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(VersionRollbackRequest))))
    except (OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
