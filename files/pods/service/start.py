"""Enable a service, restart it if requested, and wait until it answers on its socket.

Ends agents of the last start: they would go on with its image, ids and mounts. Fails where that fails, once the service
serves; else with what this start has logged,
from its beginning.
"""

from __future__ import annotations

import os
import subprocess
import sys

from files.pods.common import docker
from files.pods.common.protocol import read_request
from files.pods.common.run_command import run_command
from files.pods.service.log import LOG_BYTES, TAIL, logged, plain, shortened, size_of
from files.pods.service.protocol import StartRequest
from files.pods.service.serving import as_user, wait_until_serving

START_SECONDS = 180
"""Until it answers: channels connect before its last socket opens."""
UNLINK = "import os, sys; os.unlink(sys.argv[1])"


def systemctl(*args: str) -> subprocess.CompletedProcess[str]:
    return run_command(["systemctl", *args], timeout=300, stderr=subprocess.STDOUT)


def start_output(unit: str, since: dict[str, int], invocation: str) -> str:
    """Return the journal and the logs of the start that failed."""
    of_start = [f"_SYSTEMD_INVOCATION_ID={invocation}", "+", f"INVOCATION_ID={invocation}"]
    named = of_start if invocation else [f"--unit={unit}", f"--lines={TAIL}"]
    journal = subprocess.run(
        ["journalctl", "--no-pager", "--output=cat", *named], stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    lines = [f"the journal of {unit}:", *shortened(plain(journal.stdout[-LOG_BYTES:]))]
    for path, offset in since.items():
        if text := logged(path, offset):
            lines += [f"{path}:", *shortened(text)]
    return "\n".join(lines)


def stop_agents(install: str) -> str:
    """Stop agents of the last start: later versions would keep them, with their image, ids and mounts.

    Return why that failed, or nothing. A machine without Docker has no agents.
    """
    try:
        docker.stop_agents(install, grace=3, timeout=120)
    except FileNotFoundError:
        return ""
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


def reset_circuit_breaker(root: str, user: tuple[int, int]) -> None:
    """Remove the crash count of NanoClaw's circuit breaker, as its own clean stop does."""
    argv = [sys.executable, "-I", "-c", UNLINK, f"{root}/data/circuit-breaker.json"]
    run_command(argv, timeout=60, cwd="/", **as_user(user))


def main() -> None:
    """Enable the unit, restart it if requested, and wait until it serves."""
    request = read_request(StartRequest)
    unit, root, user = request.unit, request.root, (request.uid, request.gid)
    enabled = systemctl("enable", unit)
    if enabled.returncode != 0:
        sys.exit(f"{unit} cannot be enabled: {enabled.stdout}")
    if not request.restart:
        return
    stopped = systemctl("stop", unit)
    if stopped.returncode != 0:
        sys.exit(f"{unit} does not stop: {stopped.stdout}")
    left = stop_agents(request.install)
    reset_circuit_breaker(root, user)
    since = {path: size_of(path) for path in (request.errors, request.log)}
    systemctl("reset-failed", unit)
    started = systemctl("start", unit)
    if started.returncode != 0:
        sys.exit(f"{unit} does not start: {started.stdout}\n{start_output(unit, since, '')}")
    if systemctl("show", "--property=ConditionResult", "--value", unit).stdout.strip() == "no":
        drop_in = f"/etc/systemd/system/{unit}.d/60-nanoclaw-pods-migration.conf"
        why = f" It waits for a migration from v1: finish that, or remove {drop_in}" if os.path.exists(drop_in) else ""
        sys.exit(f"{unit} does not start: a condition of it is not met (systemctl status {unit}).{why}")
    invocation = systemctl("show", "--property=InvocationID", "--value", unit).stdout.strip()
    now = wait_until_serving(unit, root, user, START_SECONDS)
    if not now.answers:
        ended = now.active != "active" or now.invocation != invocation
        what = f"{unit} starts, then exits" if ended else now.why
        sys.exit(f"{what}\n{start_output(unit, since, invocation)}")
    if left:
        sys.exit(
            f"{unit} serves, but agents of its last start may still run with the image and the ids of then: {left}. "
            f"End them: docker ps --filter label=nanoclaw-install={request.install}"
        )


if __name__ == "__main__":
    main()
