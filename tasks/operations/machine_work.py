"""How a part of a transition is handed to its machine, which completes it whether or not this run goes on."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from pyinfra.api import StringCommand

from files.pods.common.protocol import Request
from files.pods.transition.documents import Head, PlannedStep, Run, Work
from files.pods.transition.protocol import RunnerRequest, StartPayload, StartRequest
from tasks.bundle import bundle, file_argv, request_line
from tasks.command import run_request
from tasks.model.host.step import Part, Step


@dataclass(frozen=True)
class Places:
    """Where a transition keeps its files on the machine."""

    directory: str
    """Of the journal and the programs."""
    service: str
    """The transient unit that runs a part."""
    marker: str
    """The file that commits to the new version."""
    trying: str
    """The file that exists while neither version is decided for; a crash removes it."""


def run_part(
    part: Part, head: Head, steps: Callable[[Run, str], list[Step]], undo: Step, places: Places, probe: Request
) -> StringCommand:
    """Return the command with which the machine runs a part of a transition.

    + steps: makes the steps, from how the machine runs the probe and how systemd ends an interrupted switch
    + undo: the step that rolls back
    """
    entries = {step.request.entry for step in [*steps(Run([], ""), ""), undo]}
    archive = bundle(*sorted({*entries, RunnerRequest.entry, probe.entry}))
    file = f"{places.directory}/programs-{hashlib.sha256(archive).hexdigest()[:12]}.pyz"
    planned = steps(run_of(file, probe), back_command(file, places.directory))
    work = Work(part, head, [_planned(file, it) for it in planned], _planned(file, undo), places.marker, places.trying)
    request = StartRequest(places.directory, places.service, sum(step.seconds for step in planned))
    payload = StartPayload(base64.b64encode(archive).decode(), file, work)
    return run_request(request, json.dumps(asdict(payload)))


def run_of(file: str, request: Request) -> Run:
    """Return how the machine itself runs a program of the archive."""
    return Run(file_argv(file, request.entry), request_line(request.document()))


def back_command(file: str, directory: str) -> str:
    """Return the command with which a unit ends an interrupted switch (systemd.service(5), ExecStart=)."""
    document = json.dumps(RunnerRequest(directory, back=True).document())
    return f"/usr/bin/env {' '.join(file_argv(file, RunnerRequest.entry))} '{document}'"


def _planned(file: str, step: Step) -> PlannedStep:
    run = run_of(file, step.request)
    return PlannedStep(run.argv, run.input + step.payload, step.id, step.name, step.seconds, step.marks)
