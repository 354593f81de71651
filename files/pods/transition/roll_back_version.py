"""Roll a change of version back: stop the new version, put its code and data back, and start the old one.

Repeats safely, from any moment of a switch. Sessions and groups stay as they are, with what was written since. What
fails on the way is noted, and the old version starts all the same. At a boot systemd starts it, once this has ended.
Reply: {"notes": […], "failures": how often this commit has failed here}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

from files.pods.common import run_lock
from files.pods.common.docker import stop_agents
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.run_command import run_command
from files.pods.service.serving import wait_until_serving
from files.pods.source.git_worktree import become_owner, other_owner
from files.pods.source.merge_rows import put_back
from files.pods.source.switch_image import switch_back
from files.pods.source.switch_to_stage import back
from files.pods.transition.bad_versions import count_failure
from files.pods.transition.protocol import VersionRollbackRequest

BOOT = "NANOCLAW_PODS_BOOT"
"""Set by the unit that runs before NanoClaw's at a boot: a start from there would wait for itself."""
START_SECONDS = 180


def systemctl(*args: str, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    return run_command(["systemctl", *args], timeout=seconds, stderr=subprocess.STDOUT)


def stop(request: VersionRollbackRequest) -> list[str]:
    """Stop the new version and its agents; return what went wrong."""
    wrong = []
    try:
        stopped = systemctl("stop", request.unit, seconds=150).returncode == 0
    except subprocess.TimeoutExpired:
        stopped = False
    if not stopped:
        systemctl("kill", "--signal=KILL", request.unit)
        wrong.append(f"{request.unit} did not stop and was killed")
    try:
        stop_agents(request.install, grace=10, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        wrong.append(f"agents may still run: {error}")
    return wrong


def as_host(request: VersionRollbackRequest, seconds: int, work: Any) -> tuple[str, bool]:
    """Run `work` as the owner of the project root; return its text, and whether it failed."""
    other = other_owner(request.root) if request.uid == 0 else None

    def switched() -> Any:
        if other:
            become_owner(other)
        else:
            become_user(request.user, request.uid, request.gid)
        try:
            return work()
        except SystemExit as refused:
            raise RuntimeError(str(refused)) from None

    reply = run_as(ROOT, seconds, switched)
    return (str(reply["text"]), True) if "error" in reply else (str(reply.get("value") or ""), False)


def main(request: VersionRollbackRequest) -> dict[str, Any]:
    """Roll back; exit if the old code is not there again, or the old version does not serve."""
    with suppress(FileNotFoundError):
        os.unlink(request.marker)
    run_lock.acquire(request.lock)
    notes = stop(request)
    text, failed = as_host(request, 600, lambda: back(request.root))
    if failed:
        sys.exit(f"the code of {request.root} was not put back: {text}")
    text, failed = as_host(request, 600, lambda: put_back(request.root, request.before))
    notes.append(f"the database was not put back: {text}" if failed else text)
    if request.image:
        try:
            switch_back(request.image)
        except (OSError, subprocess.SubprocessError) as error:
            notes.append(f"the image was not put back: {error}")
    with suppress(FileNotFoundError):
        os.unlink(request.trying)
    if not os.environ.get(BOOT):
        start(request)
    failures = 0
    try:
        failures = count_failure(request.bad, request.commit, request.version)
    except OSError as error:
        notes.append(f"the failure was not counted: {error}")
    if failed:
        sys.exit("; ".join(notes))
    return {"notes": notes, "failures": failures}


def start(request: VersionRollbackRequest) -> None:
    """Start the old version; exit if it does not serve."""
    systemctl("reset-failed", request.unit)
    started = systemctl("start", request.unit, seconds=300)
    if started.returncode != 0:
        sys.exit(f"{request.unit} does not start: {started.stdout}")
    now = wait_until_serving(request.unit, request.root, (request.uid, request.gid), START_SECONDS)
    if not now.answers:
        sys.exit(now.why)


if __name__ == "__main__":
    try:
        print(json.dumps(main(read_request(VersionRollbackRequest))))
    except (OSError, subprocess.SubprocessError) as failure:
        sys.exit(str(failure))
