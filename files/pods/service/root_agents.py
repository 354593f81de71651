"""The agents of a NanoClaw that run in containers. Starts no daemon.

v1 starts agents by `docker`: a client of the system's daemon, of a user's own (rootless), or Podman under that name.
/proc shows which daemons run: a connection to a daemon's socket would start it (systemd.socket(5)).
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
    """Return the output of docker for the daemon at a socket (None: the system's), or None if it fails."""
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
            argv = file_of(pid, "cmdline").decode("utf-8", "replace").split("\0")
            if uid == 0 and os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                continue
            if name == "dockerd" and able(uid):
                sockets.add(socket_of(pid, uid))
            elif name.startswith("containerd-shim") and "moby" in argv and uid == 0:
                orphans = True
            elif name == "conmon" and able(uid):
                podman += [after for word, after in zip(argv, argv[1:]) if word in ("-n", "--name")]  # noqa: B905, RUF007
    return sockets, podman, orphans and None not in sockets


def socket_of(pid: str, uid: int) -> str | None:
    """Return a daemon's socket; None for the system's. A rootless daemon runs in a user namespace of its own."""
    if uid == 0 and os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user"):
        return None
    place = re.findall(rb"(?:^|\0)XDG_RUNTIME_DIR=([^\0]*)", file_of(pid, "environ"))
    return f"{os.fsdecode(place[0]) if place else f'/run/user/{uid}'}/docker.sock"


def running_agents(able: Callable[[int], bool]) -> list[tuple[str | None, str]] | None:
    """Return (socket, name) of v1's agents that run; None if a daemon does not answer in time.

    The socket of Podman's containers is PODMAN: nothing here stops those.
    """
    sockets, podman, unknown = daemons(able)
    agents: list[tuple[str | None, str]] = [(PODMAN, name) for name in podman]
    form = '{{.Names}}\t{{.Label "nanoclaw-install"}}'
    for socket in sorted(sockets, key=str):
        text = docker_at(socket, "ps", "--filter", "name=nanoclaw-", "--format", form)
        if text is None:
            return None
        agents += [
            (socket, name) for name, _, label in (line.partition("\t") for line in text.splitlines()) if not label
        ]
    named = sorted({(socket, escape_control(name)) for socket, name in agents if name.startswith("nanoclaw-")}, key=str)
    return None if unknown else named
