"""Builds the agent image with NanoClaw's own container/build.sh, as the host user, who is in group docker.

Argument: {"root", "user", "uid", "gid", "lock"}. What the build says is its output; it ends with the build's status.
"""

from __future__ import annotations

import json
import os
import sys

from files.pods.common import run_lock
from files.pods.common.run_as_host_user import become_user, run_with_deadline


def main() -> None:
    """Replace this process by container/build.sh, as the host user."""
    request = json.loads(sys.argv[1])
    run_lock.acquire(request["lock"])
    run_with_deadline(3500, request["root"])
    become_user(request["user"], request["uid"], request["gid"])
    os.chdir(request["root"])
    os.execvp("bash", ["bash", "container/build.sh"])


if __name__ == "__main__":
    main()
