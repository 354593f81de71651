"""Enables a service, starts it again if asked to, and waits until it answers on its socket.

Argument: {"unit", "restart": bool, "root", "user", "uid", "gid", "log", "errors": paths of its logs, "install": slug}.
Agents of the last start are ended: they would go on with its image, ids and mounts. Otherwise what this start has
logged is the reason, from its beginning.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress

from files.pods.common import docker
from files.pods.service.log import LOG_BYTES, TAIL, logged, plain, shortened, size_of
from files.pods.service.serving import as_user, wait_until_serving

UP = 180
"""Seconds until it answers: channels connect before its last socket opens."""
FORGET = "import os, sys; os.unlink(sys.argv[1])"


def systemctl(*args: str) -> subprocess.CompletedProcess[str]:
    """Run systemctl."""
    return subprocess.run(
        ["systemctl", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )


def what_it_said(unit: str, since: dict[str, int], invocation: str) -> str:
    """The journal and the logs of the start that failed."""
    of_start = [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}"]
    named = of_start if invocation else [f"--unit={unit}", f"--lines={TAIL}"]
    journal = subprocess.run(
        ["journalctl", "--no-pager", "--output=cat", *named], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    lines = [f"the journal of {unit}:", *shortened(plain(journal.stdout[-LOG_BYTES:]))]
    for path, offset in since.items():
        if found := logged(path, offset):
            lines += [f"{path}:", *shortened(found)]
    return "\n".join(lines)


def stop_agents(install: str) -> None:
    """Later versions take over the agents of an earlier start, which have the image, ids and mounts of that."""
    with suppress(OSError, subprocess.SubprocessError):
        docker.stop_agents(install, grace=3, timeout=120)


def forget_crashes(root: str, user: tuple[int, int]) -> None:
    """Removes what NanoClaw's circuit breaker counts, as its own clean stop does: this start is asked for."""
    subprocess.run(
        [sys.executable, "-I", "-c", FORGET, f"{root}/data/circuit-breaker.json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        cwd="/",
        check=False,
        **as_user(user),
    )


def main() -> None:
    """Enable the unit, restart it if requested, and wait until it serves."""
    arguments = json.loads(sys.argv[1])
    unit, root, user = arguments["unit"], arguments["root"], (arguments["uid"], arguments["gid"])
    enabled = systemctl("enable", unit)
    if enabled.returncode != 0:
        sys.exit(f"{unit} cannot be enabled: {enabled.stdout}")
    if not arguments["restart"]:
        return
    stopped = systemctl("stop", unit)
    if stopped.returncode != 0:
        sys.exit(f"{unit} does not stop: {stopped.stdout}")
    stop_agents(arguments["install"])
    forget_crashes(root, user)
    since = {path: size_of(path) for path in (arguments["errors"], arguments["log"])}
    systemctl("reset-failed", unit)
    started = systemctl("start", unit)
    if started.returncode != 0:
        sys.exit(f"{unit} does not start: {started.stdout}\n{what_it_said(unit, since, '')}")
    if systemctl("show", "--property=ConditionResult", "--value", unit).stdout.strip() == "no":
        left = f"/etc/systemd/system/{unit}.d/60-nanoclaw-pods-migration.conf"
        why = f" It waits for a migration from v1: finish that, or remove {left}" if os.path.exists(left) else ""
        sys.exit(f"{unit} does not start: a condition of it is not met (systemctl status {unit}).{why}")
    invocation = systemctl("show", "--property=InvocationID", "--value", unit).stdout.strip()
    now = wait_until_serving(unit, root, user, UP)
    if not now["answers"]:
        ended = now["active"] != "active" or now["invocation"] != invocation
        what = f"{unit} starts and ends again" if ended else now["why"]
        sys.exit(f"{what}\n{what_it_said(unit, since, invocation)}")


if __name__ == "__main__":
    main()
