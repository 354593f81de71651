"""Interruptions of a transition when a chosen step begins: a kill of the run, or a power cut."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.model.fleet.plan import HostPlan
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
"""The ids of a migration's steps to interrupt, in order. One that runs before and in the switch is listed twice."""


@dataclass(frozen=True)
class Paths:
    """Where a kind of transition keeps its journal, and the unit that runs it, both by the plan of a host."""

    directory: Callable[[HostPlan], str]
    service: Callable[[HostPlan], str]


MIGRATION = Paths(directory, service)


@dataclass(frozen=True)
class Interruption:
    """A kind of interruption, and the step that it interrupts."""

    kind: Kind
    step: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.step!r}"


def journal(fleet: Fleet, name: str, paths: Paths = MIGRATION) -> dict[str, Any]:
    """Return the journal of a host, or an empty one before its first attempt."""
    path = f"{paths.directory(fleet.host(name))}/journal.json"
    output = fleet.lab[name].run(f"cat {path}", check=False, timeout=30).stdout
    document: dict[str, Any] = json.loads(output) if output else {"attempt": 0, "state": "new", "steps": []}
    return document


def has_begun(steps: Sequence[dict[str, Any]], step: str) -> bool:
    """Whether a journal lists one of STEPS."""
    identity = step.removesuffix(AGAIN)
    return [entry["id"] for entry in steps].count(identity) > (identity != step)


def interrupt(fleet: Fleet, name: str, interruption: Interruption, paths: Paths = MIGRATION) -> bool:
    """Run the role on a host and interrupt it in a step. Return False if the run ended before that step.

    The step does not wait for the interruption, which may therefore hit the next step instead.
    """
    attempt = journal(fleet, name, paths)["attempt"]
    command = fleet.pyinfra("-y", "--limit", name)
    run = subprocess.Popen(
        command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 900
    while run.poll() is None and time.monotonic() < end:
        document = journal(fleet, name, paths)
        if document["attempt"] > attempt and has_begun(document["steps"], interruption.step):
            _carry_out(fleet, name, interruption.kind, run, paths)
            return True
        time.sleep(0.2)
    run.kill()
    run.wait(timeout=60)
    return False


def _carry_out(fleet: Fleet, name: str, kind: Kind, run: subprocess.Popen[bytes], paths: Paths) -> None:
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
    wait_for_unit(fleet, name, paths)


def wait_for_unit(fleet: Fleet, name: str, paths: Paths) -> None:
    """Wait until the host's own part of the transition has ended."""
    unit = paths.service(fleet.host(name))
    command = f"systemctl show --property=ActiveState --value {unit} | grep -qx -e inactive -e failed"
    fleet.lab[name].wait_until_succeeds(command, timeout=900)
