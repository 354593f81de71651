"""Build the agent image with NanoClaw's own container/build.sh, as the host user, who is in group docker.

Prints what the build prints, and exits with its status.
"""

from __future__ import annotations

import os

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.source.protocol import BuildImageRequest


def main() -> None:
    """Replace this process by container/build.sh, as the host user."""
    request = read_request(BuildImageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(3500, request.root)
    become_user(request.user, request.uid, request.gid)
    os.chdir(request.root)
    os.execvp("bash", ["bash", "container/build.sh"])


if __name__ == "__main__":
    main()
