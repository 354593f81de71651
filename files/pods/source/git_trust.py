"""git that works in a checkout of another owner.

On pods that squash, root's checkout belongs to the agent. git then fails with "detected dubious ownership", and so do
NanoClaw's own scripts. They get a global configuration that includes the user's own and trusts this one path. They are
code of that checkout, so its owner decides what they do in any case; the role's own git runs as that owner
(git_worktree.other_owner). It is a file, since git before 2.38 ignores safe.directory in arguments and environment.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def quoted(value: str) -> str:
    """Quote a value for git-config(1)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def trusting(root: str) -> Iterator[None]:
    """Make git trust a project root in all programs that start meanwhile. Leaves the user's configuration alone."""
    home = os.environ.get("HOME", "/nonexistent")
    own = (f"{home}/.config/git/config", f"{home}/.gitconfig")
    lines = [*(f"[include]\n\tpath = {quoted(path)}\n" for path in own), f"[safe]\n\tdirectory = {quoted(root)}\n"]
    with tempfile.NamedTemporaryFile("w", prefix="nanoclaw-pods-git-", encoding="utf-8") as file:  # 0600
        file.write("".join(lines))
        file.flush()
        before = os.environ.get("GIT_CONFIG_GLOBAL")
        os.environ["GIT_CONFIG_GLOBAL"] = file.name
        try:
            yield
        finally:
            os.environ.pop("GIT_CONFIG_GLOBAL")
            if before is not None:
                os.environ["GIT_CONFIG_GLOBAL"] = before
