"""Remove the stage of a version, and what a committed switch has kept of the one before."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import run_with_deadline
from files.pods.source.git_worktree import Tree, become_worker
from files.pods.source.stage_place import place_of
from files.pods.source.staging_protocol import RemoveStageRequest
from files.pods.source.switch_to_stage import RECORD


def main(root: str) -> None:
    """Remove the record first: without it nothing is switched back."""
    with suppress(FileNotFoundError):
        os.unlink(f"{Tree(root).git_dir}/{RECORD}")
    shutil.rmtree(place_of(root), ignore_errors=True)


if __name__ == "__main__":
    request = read_request(RemoveStageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(900, request.root)
    become_worker(request.root, request.user, request.uid, request.gid)
    main(request.root)
