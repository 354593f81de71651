"""What can go wrong in the middle of a migration, made to happen where a chosen step begins; for `make soak`."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.model.migration.paths import directory, service
from tests.e2e.fleet import PROJECT, Fleet

Kind = Literal["the controller is killed", "the host loses its power", "the server loses its power"]
KINDS: tuple[Kind, ...] = ("the host loses its power", "the server loses its power", "the controller is killed")
AGAIN = "-again"
STEPS = (
    "archive-attempt",
    "back-up",
    "set-conditions",
    "snapshot",
    "upstream-env",
    "upstream-db",
    "upstream-sessions",
    "copy",
    "upgrade-marker",
    "stop-v1",
    "final-snapshot",
    f"upstream-env{AGAIN}",
    f"upstream-db{AGAIN}",
    "upstream-groups",
    f"upstream-sessions{AGAIN}",
    "upstream-tasks",
    "upstream-channel-auth",
    "final-copy",
    "fix-up",
    "audit",
    "start-v2",
    "gate",
    "commit",
)
"""The ids of the steps in which it happens, in order; a step that runs while v1 serves and in the switch is two."""


@dataclass(frozen=True)
class Interruption:
    """One accident."""

    kind: Kind
    step: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.step!r}"


def journal(fleet: Fleet, name: str) -> dict[str, Any]:
    """The journal of a host; what is not there yet counts as empty."""
    path = f"{directory(fleet.host(name))}/journal.json"
    said = fleet.lab[name].run(f"cat {path}", check=False, timeout=30).stdout
    found: dict[str, Any] = json.loads(said) if said else {"attempt": 0, "state": "new", "steps": []}
    return found


def has_begun(steps: Sequence[dict[str, Any]], step: str) -> bool:
    """Whether one of STEPS is among the steps of a journal."""
    identity = step.removesuffix(AGAIN)
    return [entry["id"] for entry in steps].count(identity) > (identity != step)


def interrupt(fleet: Fleet, name: str, accident: Interruption) -> bool:
    """Runs the role on a host and has the accident happen in a step of this run. Returns whether it came to that.

    It may come a moment later than the step, whose end nobody waits for: it is then at the boundary or in the next.
    """
    attempt = journal(fleet, name)["attempt"]
    command = fleet.pyinfra("-y", "--limit", name)
    run = subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 900
    while run.poll() is None and time.monotonic() < end:
        found = journal(fleet, name)
        if found["attempt"] > attempt and has_begun(found["steps"], accident.step):
            _happen(fleet, name, accident.kind, run)
            return True
        time.sleep(0.2)
    run.kill()
    run.wait(timeout=60)
    return False


def _happen(fleet: Fleet, name: str, kind: Kind, run: subprocess.Popen[bytes]) -> None:
    host, server = fleet.lab[name], fleet.lab["server"]
    if kind == "the controller is killed":
        run.kill()
    elif kind == "the host loses its power":
        host.crash()
        run.kill()
        host.start()
        host.wait_for_boot()
    else:
        server.crash()
        time.sleep(5)
        server.start()
        server.wait_for_boot()
    run.wait(timeout=1200)
    wait_until_at_rest(fleet, name)


def wait_until_at_rest(fleet: Fleet, name: str) -> None:
    """Until the host has carried its part to an end by itself."""
    command = (
        f"systemctl show --property=ActiveState --value {service(fleet.host(name))} | grep -qx -e inactive -e failed"
    )
    fleet.lab[name].wait_until_succeeds(command, timeout=900)
