"""Prove that v2 works before it is committed: a probe as host and agent, and a real message that is answered.

Reply: {"probe": seconds, "command": its last line of output, or null without a command}.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from files.pods.common.protocol import decode, read_request
from files.pods.common.run_as_host_user import become_user
from files.pods.common.run_command import run_command
from files.pods.common.sanitize import escape_control
from files.pods.probe import timeouts
from files.pods.probe.protocol import Container, Observations
from files.pods.service.serving import wait_until_serving
from files.pods.transition.documents import Run
from files.pods.transition.protocol import GateRequest


def run_probe(probe: Run) -> float:
    """Run the probe; return its seconds, or exit with what it found wrong."""
    done = run_command(probe.argv, timeout=timeouts.WHOLE_PROBE, input=probe.input)
    if done.returncode != 0:
        sys.exit(f"the probe of v2 failed: {escape_control(done.stderr.strip()[-500:])}")
    try:
        report = decode(Observations, json.loads(done.stdout.strip().splitlines()[-1]), "the report")
    except (IndexError, ValueError):
        sys.exit(f"the probe of v2 printed no report: {escape_control(done.stdout.strip()[-500:]) or 'no output'}")
    wrong = [f"{step.who}: {step.what}: {step.text}" for step in report.steps if step.error]
    if report.missing:
        wrong.append(f"nothing is mounted at {', '.join(report.missing)}")
    if "container" not in report.relied:
        container = report.container or Container("it was not started")
        wrong.append(f"no container has written: {container.state} {container.text}".rstrip())
    if wrong:
        sys.exit(f"the probe of v2: {escape_control('; '.join(wrong))}")
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


def main(request: GateRequest) -> dict[str, Any]:
    """Run the gate; exit if v2 fails it."""
    seconds = run_probe(request.probe)
    answer = run_gate(request, request.command) if request.command else None
    serving = wait_until_serving(request.unit, request.root, (request.uid, request.gid), 20)
    if not serving.answers:
        sys.exit(serving.why)
    return {"probe": seconds, "command": answer}


if __name__ == "__main__":
    print(json.dumps(main(read_request(GateRequest))))
