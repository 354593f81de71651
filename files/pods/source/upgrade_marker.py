"""Set NanoClaw's marker of an upgrade, without which versions from 2.1.0 on end at their start; as the host user.

By NanoClaw's own script, after a good build. Does nothing where the checkout has no such script.
"""

from __future__ import annotations

import os
import subprocess
import sys

from files.pods.common import run_lock
from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.source.git_worktree import Tree
from files.pods.source.protocol import MarkerRequest
from files.pods.source.version_files import MARKER_SCRIPT, VersionFiles, read_needs
from files.pods.source.version_state import MARKED, unmarked

SET = ("pnpm", "exec", "tsx", MARKER_SCRIPT, "set", "", "nanoclaw-pods")
"""An empty version is that of package.json: any other would be believed, too."""


def set_if_missing(root: str) -> None:
    """Set the marker where the version would not start: one that is switched back to may have lost it."""
    tree = Tree(root)
    head = tree.commit("HEAD")
    needs = read_needs(VersionFiles(tree, head, head)) if head else None
    if needs and needs.marker and unmarked(tree, needs.version):
        main(root)


def main(root: str) -> None:
    """Set the marker, and check that NanoClaw accepts it."""
    tree = Tree(root)
    head = tree.commit("HEAD")
    needs = read_needs(VersionFiles(tree, head, head)) if head else None
    if head is None or needs is None:
        sys.exit(f"{root}: git or package.json does not say which version is checked out")
    if not needs.marker:
        return
    try:
        done = run_command(SET, timeout=None, cwd=root, stderr=subprocess.STDOUT)
    except OSError as error:
        sys.exit(f"{MARKER_SCRIPT} of {root} cannot be run: {error}")
    if done.returncode != 0:
        sys.exit(f"{' '.join(SET[:5])} in {root} failed:\n{done.stdout[-4000:]}")
    replace(os.path.join(root, MARKED), f"{head}\n".encode())
    if why := unmarked(tree, needs.version):
        sys.exit(f"{MARKER_SCRIPT} succeeded, but NanoClaw would still not start: {why}")


if __name__ == "__main__":
    request = read_request(MarkerRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(300, request.root)
    become_user(request.user, request.uid, request.gid)
    main(request.root)
