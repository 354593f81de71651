"""Whether the service answers, also to its own command line, and with the code that is checked out. Changes nothing."""

from __future__ import annotations

import os

from files.pods.common.protocol import print_reply, read_request
from files.pods.common.read_untrusted import read_untrusted_object
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.service.last_start import outdated
from files.pods.service.log import LOG_BYTES, logged, shortened, size_of
from files.pods.service.ncl_health import ncl_problem
from files.pods.service.onecli_health import onecli_health
from files.pods.service.protocol import ServingState, ServingStateRequest
from files.pods.service.serving import wait_until_serving
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.version_files import VersionFiles, read_needs

WAIT_SECONDS = 20
"""For a service that has just started, or is busy."""
TAIL_BYTES = 8192
"""End of the error log that holds the cause: longer than the longest banner."""


def built_from(root: str) -> str | None:
    """The commit that was built last."""
    commit = read_untrusted_object(os.path.join(root, STAMP)).get("commit")
    return None if commit is None else str(commit)


if __name__ == "__main__":
    request = read_request(ServingStateRequest)
    root, errors = request.root, request.errors
    run_with_deadline(120, root)
    now = wait_until_serving(request.unit, root, (request.uid, request.gid), WAIT_SECONDS)
    lines = shortened(logged(errors, max(0, size_of(errors) - min(TAIL_BYTES, LOG_BYTES))))
    changed = outdated(request.inputs, request.started)
    become_user(request.user, request.uid, request.gid)
    why = ncl_problem(root) if now.answers else now.why
    tree = Tree(root)
    head = tree.commit("HEAD")
    needs = read_needs(VersionFiles(tree, head, head)) if head else None
    health = onecli_health(root, request.onecli) if needs and needs.api else None
    print_reply(ServingState(not why, why, lines if why else [], changed, head, built_from(root), health))
