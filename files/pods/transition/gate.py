"""Prove that the new version works before it is committed: by a probe as host and agent, and by an answered message.

The service must then be the process that it was when the gate began, and as old as the request says; and NanoClaw's
own command line must get a reply, where this version has one.
Reply: {"probe": seconds, "command": its last line of output, or null without a command}.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from files.pods.common.protocol import decode, read_request
from files.pods.common.run_as_host_user import become_user
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.run_command import run_command
from files.pods.common.sanitize import escape_control
from files.pods.common.systemctl import unit_properties
from files.pods.probe import timeouts
from files.pods.probe.protocol import Container, Observations
from files.pods.service import ncl_health
from files.pods.service.serving import wait_until_serving
from files.pods.transition.documents import Run
from files.pods.transition.protocol import GateRequest

STARTED = "ExecMainStartTimestampMonotonic"


def run_probe(probe: Run) -> float:
    """Run the probe; return its seconds, or exit with what it found wrong."""
    done = run_command(probe.argv, timeout=timeouts.WHOLE_PROBE, input=probe.input)
    if done.returncode != 0:
        sys.exit(f"the probe failed: {escape_control(done.stderr.strip()[-500:])}")
    try:
        report = decode(Observations, json.loads(done.stdout.strip().splitlines()[-1]), "the report")
    except (IndexError, ValueError):
        sys.exit(f"the probe printed no report: {escape_control(done.stdout.strip()[-500:]) or 'no output'}")
    wrong = [f"{step.who}: {step.what}: {step.text}" for step in report.steps if step.error]
    if report.missing:
        wrong.append(f"nothing is mounted at {', '.join(report.missing)}")
    if "container" not in report.relied:
        container = report.container or Container("it was not started")
        wrong.append(f"no container has written: {container.state} {container.text}".rstrip())
    if wrong:
        sys.exit(f"the probe: {escape_control('; '.join(wrong))}")
    return report.seconds


def run_gate(request: GateRequest, command: list[str]) -> str:
    """Run the operator's command as the host user; return its last line of output, or exit."""

    def as_host() -> None:
        os.setsid()
        become_user(request.user, request.uid, request.gid)
        os.chdir(request.root)

    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=as_host,
        )
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"no answer from {' '.join(command)}: {error}")
    try:
        output = child.communicate(timeout=request.seconds)[0].decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        sys.exit(f"no answer within {request.seconds} s: {' '.join(command)}")
    last = escape_control(output.splitlines()[-1]) if output else ""
    if child.returncode != 0:
        sys.exit(f"no answer (status {child.returncode}) from {' '.join(command)}: {last}")
    return last


def last_start(unit: str) -> dict[str, str]:
    """Return what systemd says about the last start of a unit."""
    return unit_properties(unit, "ActiveState", "MainPID", "InvocationID", "NRestarts", STARTED)


def wait_until_stable(request: GateRequest, first: dict[str, str]) -> None:
    """Wait until the service is as old as it must be; exit if it is not the process of `first`."""
    end = time.monotonic() + 2 * request.stable
    while True:
        now = last_start(request.unit)
        if now != first or now.get("ActiveState") != "active":
            sys.exit(
                f"{request.unit} did not stay up: it was process {first.get('MainPID')} when the gate began, and is "
                f"{now.get('ActiveState', 'unknown')} as process {now.get('MainPID')} after "
                f"{now.get('NRestarts')} restarts (journalctl -u {request.unit})"
            )
        age = time.clock_gettime(time.CLOCK_MONOTONIC) - int(now.get(STARTED) or 0) / 1e6
        if age >= request.stable or time.monotonic() > end:
            return
        time.sleep(min(1, request.stable - age))


def command_line_problem(request: GateRequest) -> str:
    """Return why NanoClaw's own command line gets no reply; "" if it gets one, or this version has none."""

    def as_host() -> str:
        become_user(request.user, request.uid, request.gid)
        return ncl_health.ncl_problem(request.root)

    reply = run_as(ROOT, ncl_health.SECONDS + 20, as_host)
    return str(reply.get("value", reply.get("text")))


def main(request: GateRequest) -> dict[str, Any]:
    """Run the gate; exit if the new version fails it."""
    first = last_start(request.unit) if request.stable else {}
    seconds = run_probe(request.probe)
    answer = run_gate(request, request.command) if request.command else None
    if request.stable:
        wait_until_stable(request, first)
    serving = wait_until_serving(request.unit, request.root, (request.uid, request.gid), 20)
    if not serving.answers:
        sys.exit(serving.why)
    if problem := command_line_problem(request):
        sys.exit(problem)
    return {"probe": seconds, "command": answer}


if __name__ == "__main__":
    print(json.dumps(main(read_request(GateRequest))))
