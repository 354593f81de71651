"""Build the agent image of a staged version with its own container/build.sh, as the host user.

The script names the image after the directory of its checkout (from 2.0.5 on), so it replaces no image that is in use.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

from files.pods.common import run_lock
from files.pods.common.docker import run_docker
from files.pods.common.failure_text import find_cause
from files.pods.common.ids import IdentityError
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.source.agent_image import inspect, user_of
from files.pods.source.build_image import build_argv
from files.pods.source.stage_place import stage_of
from files.pods.source.staging_protocol import StageImageRequest

SECONDS = 3500
PREVIOUS = "nanoclaw-pods-previous"
"""Tag of the image that a switch replaced, for its way back."""


def staged_image(root: str) -> str:
    """Return the name that container/build.sh gives the image of a stage."""
    return f"nanoclaw-agent-v2-{hashlib.sha1(stage_of(root).encode()).hexdigest()[:8]}:latest"


def image_id(name: str) -> str | None:
    """Return the id of an image; None if there is none of that name. Raises SubprocessError without a daemon."""
    done = run_docker("image", "inspect", "--", name)
    if done.returncode == 0:
        return str(json.loads(done.stdout)[0]["Id"])
    run_docker("version", check=True)
    return None


def kept_name(image: str) -> str:
    """Return the name under which the image before a switch is kept."""
    return f"{image.rpartition(':')[0] or image}:{PREVIOUS}"


def remove_kept(image: str) -> None:
    """Remove the name of what an earlier switch has kept, which was committed: no way back leads there."""
    if image_id(kept_name(image)):
        run_docker("rmi", kept_name(image), check=True)


def main(root: str, ids: tuple[int, int] | None) -> None:
    """Build the image; exit with the cause if that fails, or if it has another name or user."""
    stage, name = stage_of(root), staged_image(root)
    done = run_command(build_argv(stage), timeout=SECONDS, cwd=stage, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        cause = "\n".join(find_cause(done.stdout)) or "it printed nothing"
        sys.exit(f"container/build.sh in {stage} failed (status {done.returncode}):\n{cause}")
    image = inspect(name)
    if image is None:
        sys.exit(f"container/build.sh in {stage} succeeded, but there is no image {name}")
    if ids:
        user = user_of(name, image["Config"].get("User", ""))
        if user is None or user.pair != tuple(ids):
            sys.exit(
                f"the agent image of the new version runs as {user or 'an unknown user'}, and the plan expects "
                f"{ids[0]}:{ids[1]}: set nanoclaw_image_uid and nanoclaw_image_gid for this host"
            )


if __name__ == "__main__":
    request = read_request(StageImageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(SECONDS, request.root)
    become_user(request.user, request.uid, request.gid)
    try:
        if request.image:
            remove_kept(request.image)
        main(request.root, request.ids)
    except (OSError, subprocess.SubprocessError, IdentityError) as failure:
        sys.exit(f"the image of {stage_of(request.root)} was not built: {failure}")
