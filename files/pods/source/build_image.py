"""Build the agent image with NanoClaw's own container/build.sh, as the host user, who is in group docker.

Prints what the build prints, and exits with its status. Newer scripts (2.2.0) have words before the tag: without
`build` they refuse where .env says that the image is pulled.
"""

from __future__ import annotations

import os
import re

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.common.run_as_host_user import become_user, run_with_deadline
from files.pods.source.protocol import BuildImageRequest

SCRIPT = "container/build.sh"


BUILD_WORD = re.compile(r"^\s*(?:[\w-]+\|)*build(?:\|[\w-]+)*\)", re.MULTILINE)
"""A branch of a case statement, as `build|--build)`. An older script takes the word for a tag."""


def build_argv(root: str) -> list[str]:
    """Return the argv that builds the image in a checkout, by the words that its script knows."""
    text = read_untrusted_text(os.path.join(root, SCRIPT)) or ""
    return ["bash", SCRIPT, *(["build"] if BUILD_WORD.search(text) else [])]


def main() -> None:
    """Replace this process by container/build.sh, as the host user."""
    request = read_request(BuildImageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(3500, request.root)
    become_user(request.user, request.uid, request.gid)
    os.chdir(request.root)
    os.execvp("bash", build_argv(request.root))


if __name__ == "__main__":
    main()
