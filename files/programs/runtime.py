"""What NanoClaw needs of a machine: Docker, git, Node, and the host user. Changes nothing.

Argument: {"user", "uid", "gid"}. Looks where the service's PATH looks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any

from files.programs.account import account

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
BUILDX = ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec")
PROGRAMS = ("git", "docker", "npm", "apt-get", "curl", "logrotate", "mount.nfs", "nft", "chattr", "rsync")
ASKED = ("docker.io", "docker-cli", "docker-buildx", "nodejs")


def output(*words: str) -> str:
    try:
        asked = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
            stdin=subprocess.DEVNULL,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout


def node() -> dict[str, Any] | None:
    path = shutil.which("node", path=PATH)
    version = re.match(r"v([0-9]+)\.", output(path, "--version")) if path else None
    return {"path": path, "major": int(version[1])} if version else None


def candidates() -> dict[str, str]:
    """The versions that apt would install, of the packages that it knows."""
    found, name = {}, ""
    for line in output("apt-cache", "policy", *ASKED).splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate: ") and "(none)" not in line:
            found[name] = line.split()[1]
    return found


def docker_io() -> bool:
    return output("dpkg-query", "--show", "--showformat=${db:Status-Status}", "docker.io") == "installed"


def docker_runs() -> bool:
    """Whether the engine runs; also where its unit has another name than docker.service."""
    shown = output("systemctl", "show", "docker.service", "--property=LoadState,ActiveState")
    return "LoadState=loaded" not in shown or "ActiveState=active" in shown


def engine() -> bool:
    return shutil.which("dockerd", path=PATH) is not None or os.path.exists("/snap/bin/docker")


def look(user: str, uid: int, gid: int) -> dict[str, Any]:
    programs = {name: shutil.which(name, path=PATH) is not None for name in PROGRAMS}
    buildx = any(os.path.exists(place + "/docker/cli-plugins/docker-buildx") for place in BUILDX)
    found = node()
    return {
        "programs": programs,
        "certificates": os.path.exists("/etc/ssl/certs/ca-certificates.crt"),
        "node": found,
        "engine": engine(),
        "docker_io": not buildx and docker_io(),
        "docker_runs": docker_runs(),
        "buildx": buildx,
        "npm_package": output("dpkg-query", "--show", "--showformat=${db:Status-Status}", "npm") == "installed",
        "candidates": {} if found and buildx and programs["docker"] else candidates(),
        "account": account(user, uid, gid),
    }


if __name__ == "__main__":
    print(json.dumps(look(**json.loads(sys.argv[1]))))
