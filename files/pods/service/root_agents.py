"""The agents of a NanoClaw that run in containers. No daemon is started by asking.

v1 starts agents by `docker`: a client of the system's daemon, of a user's own (rootless), or Podman under that name.
Which of them run is seen in /proc: a daemon's socket alone would start it (systemd.socket(5)).
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress

from files.pods.common.docker import run_docker
from files.pods.common.sanitize import escape_control
from files.pods.service.root_processes import file_of, user_of

PODMAN = "podman"


def docker_at(socket: str | None, *args: str, timeout: int = 5) -> str | None:
    """What docker prints of the daemon at a socket (None: the system's); None where that does not answer well."""
    where = ["--host", f"unix://{socket}"] if socket else []
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    try:
        done = run_docker(*where, *args, timeout=timeout, check=True, env={**plain, "LC_ALL": "C.UTF-8"})
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def daemons(able: Callable[[int], bool]) -> tuple[set[str | None], list[str], bool]:
    """Sockets of Docker's daemons that run; containers of Podman by name; whether containers run without a daemon.

    Root's in another PID namespace are a container's (Docker in Docker): they start no agents of this machine's v1.

    + able: which users may run an agent of the project root
    """
    sockets: set[str | None] = set()
    podman, orphans = [], False
    for pid in map(os.path.basename, glob.glob("/proc/[0-9]*")):
        with suppress(OSError):  # gone
            name, uid = file_of(pid, "comm").decode("utf-8", "replace").strip(), user_of(pid)
            words = file_of(pid, "cmdline").decode("utf-8", "replace").split("\0")
            if uid == 0 and os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                continue
            if name == "dockerd" and able(uid):
                sockets.add(socket_of(pid, uid))
            elif name.startswith("containerd-shim") and "moby" in words and uid == 0:
                orphans = True
            elif name == "conmon" and able(uid):
                podman += [after for word, after in zip(words, words[1:]) if word in ("-n", "--name")]  # noqa: B905, RUF007
    return sockets, podman, orphans and None not in sockets


def socket_of(pid: str, uid: int) -> str | None:
    """Where a daemon listens: None for the system's. A user's own runs as that user, in a name space of its own."""
    if uid == 0 and os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
        return None
    place = re.findall(rb"(?:^|\0)XDG_RUNTIME_DIR=([^\0]*)", file_of(pid, "environ"))
    return f"{os.fsdecode(place[0]) if place else f'/run/user/{uid}'}/docker.sock"


def running_agents(able: Callable[[int], bool]) -> list[tuple[str | None, str]] | None:
    """(socket, name) of agents that run, none of them v2's; None where a daemon does not say so soon.

    Podman's are at PODMAN: nothing here stops those.
    """
    sockets, podman, unknown = daemons(able)
    found: list[tuple[str | None, str]] = [(PODMAN, name) for name in podman]
    form = '{{.Names}}\t{{.Label "nanoclaw-install"}}'
    for socket in sorted(sockets, key=str):
        text = docker_at(socket, "ps", "--filter", "name=nanoclaw-", "--format", form)
        if text is None:
            return None
        found += [
            (socket, name) for name, _, label in (line.partition("\t") for line in text.splitlines()) if not label
        ]
    named = sorted({(socket, escape_control(name)) for socket, name in found if name.startswith("nanoclaw-")}, key=str)
    return None if unknown else named
