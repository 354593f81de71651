"""Build a staged version: its dependencies, its outputs, and a database that its native module opens.

The stage is a project root of its own, so the build is the usual one. A stage that is built from the same sources stays
as it is.
"""

from __future__ import annotations

import os

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_object
from files.pods.common.run_as_host_user import discard_write_errors, run_with_deadline
from files.pods.service.last_start import digest
from files.pods.source import build
from files.pods.source.git_worktree import STAMP, Tree, become_worker
from files.pods.source.shims import move_shims
from files.pods.source.stage_place import stage_of
from files.pods.source.staging_protocol import BuildStageRequest


def source_of(stage: str, node: str | None) -> dict[str, str | None]:
    """Return what a build of the stage is made from, as the stamp of a build records it."""
    return {
        "commit": Tree(stage).commit("HEAD"),
        "lock": digest(os.path.join(stage, "pnpm-lock.yaml")),
        "package": digest(os.path.join(stage, "package.json")),
        "node": node,
    }


def is_built(stage: str, source: dict[str, str | None]) -> bool:
    """Return whether the last build of the stage was of this source, and its outputs are there."""
    stamp = read_untrusted_object(os.path.join(stage, STAMP))
    outputs = all(os.path.exists(os.path.join(stage, name)) for name in ("dist/index.js", "node_modules"))
    return outputs and all(stamp.get(name) == value for name, value in source.items())


def main(root: str, node: str | None) -> None:
    """Build the stage of a project root."""
    stage = stage_of(root)
    source = source_of(stage, node)
    if not is_built(stage, source):
        build.main(stage, source)
        move_shims(root)


if __name__ == "__main__":
    request = read_request(BuildStageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(1700, request.root)
    become_worker(request.root, request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    main(request.root, request.node)
