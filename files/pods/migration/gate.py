"""Proves that v2 works before it is decided for: a probe as host and agent, and a real message that is answered.

Argument: {"probe": {"argv", "input"} of files/pods/probe/main.py, "unit", "root", "user", "uid", "gid", "command": argv
or null, "seconds": for the command}. The command runs as the host user in the project root, and has to end with status
0. Answer: {"probe": seconds, "command": its last line of output, or null where none is asked for}.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from files.pods.common.run_as_host_user import become_user
from files.pods.common.sanitize import escape_control
from files.pods.service.serving import wait_until_serving


def probed(probe: dict[str, Any]) -> float:
    done = subprocess.run(probe["argv"], input=probe["input"], capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        sys.exit(f"the probe of v2 did not end well: {escape_control(done.stderr.strip()[-500:])}")
    try:
        seen = json.loads(done.stdout.strip().splitlines()[-1])
        steps, missing, relied, seconds = seen["steps"], seen["missing"], seen["relied"], float(seen["seconds"])
    except (IndexError, ValueError, KeyError, TypeError):
        sys.exit(
            f"the probe of v2 did not say what it saw: {escape_control(done.stdout.strip()[-500:]) or 'no output'}"
        )
    wrong = [f"{step['who']}: {step['what']}: {step['text']}" for step in steps if step["error"]]
    if missing:
        wrong.append(f"nothing is mounted at {', '.join(missing)}")
    if "container" not in relied:
        wrong.append(f"no container has written: {seen.get('container')}")
    if wrong:
        sys.exit(f"the probe of v2: {escape_control('; '.join(wrong))}")
    return seconds


def answered(asked: dict[str, Any]) -> str:
    def as_host() -> None:
        os.setsid()
        become_user(asked["user"], asked["uid"], asked["gid"])
        os.chdir(asked["root"])

    try:
        child = subprocess.Popen(
            asked["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=as_host,
        )
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(f"no answer from {' '.join(asked['command'])}: {error}")
    try:
        said = child.communicate(timeout=asked["seconds"])[0].decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        sys.exit(f"no answer within {asked['seconds']} s: {' '.join(asked['command'])}")
    last = escape_control(said.splitlines()[-1]) if said else ""
    if child.returncode != 0:
        sys.exit(f"no answer (status {child.returncode}) from {' '.join(asked['command'])}: {last}")
    return last


def main(asked: dict[str, Any]) -> dict[str, Any]:
    seconds = probed(asked["probe"])
    answer = answered(asked) if asked["command"] else None
    now = wait_until_serving(asked["unit"], asked["root"], (asked["uid"], asked["gid"]), 20)
    if not now["answers"]:
        sys.exit(now["why"])
    return {"probe": seconds, "command": answer}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
