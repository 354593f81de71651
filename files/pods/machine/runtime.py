"""What NanoClaw needs of a machine: Docker, git, Node, and the host user. Changes nothing.

What the host user runs is looked for, and tried, as that user: a node in /usr/local/bin that is a link into /root/.nvm
is none to it, and a program of snap may not start for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

from files.pods.common.protocol import print_reply, read_request
from files.pods.common.run_as_host_user import HOST_PATH, become_user
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.run_command import run_command
from files.pods.machine.account import account
from files.pods.machine.protocol import Node, RuntimeRequest, RuntimeState

BUILDX = ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
PROGRAMS = ("git", "docker", "npm", "apt-get", "curl", "logrotate", "mount.nfs", "nft", "chattr", "rsync")
THEIRS = ("git", "docker", "npm", "node")
"""Those of them that the host user runs, and Node."""


def output(*args: str) -> str:
    """Return the output of a command; empty if it cannot run or is late."""
    try:
        result = run_command(args, timeout=60, cwd="/", env={**os.environ, "PATH": HOST_PATH, "LC_ALL": "C.UTF-8"})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout


def theirs(user: str, uid: int, gid: int) -> dict[str, Any]:
    """Return what the host user has first in its PATH: paths by name, and the output of --version by path."""

    def read_state() -> dict[str, Any]:
        become_user(user, uid, gid)
        paths = {name: shutil.which(name, path=HOST_PATH) for name in THEIRS}
        tried = {path: output(path, "--version") for name, path in paths.items() if path and name != "npm"}
        return {"paths": paths, "tried": tried}

    reply = run_as(ROOT, 150, read_state)
    if "value" not in reply:
        sys.exit(f"cannot act as {user} ({uid}:{gid}): {reply['text']}")
    value: dict[str, Any] = reply["value"]
    return value


def node(path: str | None, printed: str) -> Node | None:
    """Return path and major version of Node, or None."""
    version = re.match(r"v([0-9]{1,4})\.", printed, re.ASCII)
    return Node(path, int(version[1])) if path and version else None


def apt_versions(packages: list[str]) -> dict[str, str]:
    """Return the version that apt would install, by package."""
    versions, name = {}, ""
    for line in output("apt-cache", "policy", *packages).splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate: ") and "(none)" not in line:
            versions[name] = line.split()[1]
    return versions


def is_installed(package: str) -> bool:
    """Return whether dpkg has a package."""
    return output("dpkg-query", "--show", "--showformat=${db:Status-Status}", package) == "installed"


def docker_runs() -> bool:
    """Return whether the engine runs; True if its unit has another name than docker.service."""
    shown = output("systemctl", "show", "docker.service", "--property=LoadState,ActiveState")
    return "LoadState=loaded" not in shown or "ActiveState=active" in shown


def has_engine() -> bool:
    """Return whether a Docker engine is installed."""
    return shutil.which("dockerd", path=HOST_PATH) is not None or os.path.exists("/snap/bin/docker")


def read_state(user: str, uid: int, gid: int, engine: str, npm: str, candidates: list[str]) -> RuntimeState:
    """Return what NanoClaw needs of this machine and what is installed."""
    programs = {name: shutil.which(name, path=HOST_PATH) is not None for name in PROGRAMS}
    buildx = any(os.path.exists(place + "/docker/cli-plugins/docker-buildx") for place in BUILDX)
    of_user = theirs(user, uid, gid)
    paths, tried = of_user["paths"], of_user["tried"]
    programs.update({name: path is not None for name, path in paths.items() if name in programs})
    its_node = node(paths["node"], tried.get(paths["node"], ""))
    return RuntimeState(
        programs=programs,
        certificates=os.path.exists("/etc/ssl/certs/ca-certificates.crt"),
        node=its_node,
        unusable=sorted(path for path, version in tried.items() if not version),
        engine=has_engine(),
        docker_io=not buildx and is_installed(engine),
        docker_runs=docker_runs(),
        buildx=buildx,
        npm_package=is_installed(npm),
        candidates={} if its_node and buildx and programs["docker"] else apt_versions(candidates),
        account=account(user, uid, gid),
    )


if __name__ == "__main__":
    print_reply(read_state(**vars(read_request(RuntimeRequest))))
