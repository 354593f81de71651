"""Undo of a channel install that did not come to its end.

NanoClaw's script writes files and an import before it installs the package that they need, so what it leaves after a
failure does not build. A note in .git says how the checkout was before. It stands while a script works, and whoever
builds next undoes first.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import Any

from files.pods.source.git_worktree import NOT_OURS_TO_WRITE, STAMP, Tree

CHANNEL = "nanoclaw-pods-channel"
"""File in .git: {"channel": name, "before": {path: [mode, blob], or null for one that is missing}, "left": [path…]}."""
BUILD = "nanoclaw-pods-build-before-channel"
"""File in .git: the note of the build that counted before."""
LARGEST_KEPT = 16 << 20
"""Larger files are no source of NanoClaw's: they are left as they are."""


def differing_files(tree: Tree) -> set[str]:
    """Tracked files that differ from HEAD and untracked ones; not those of agents, and no repositories of others."""
    changed = tree.names("diff-index", "-z", "--name-only", "HEAD")
    new = tree.names("ls-files", "-z", "--others", "--exclude-standard")
    return {path for path in (*changed, *new) if not path.startswith(NOT_OURS_TO_WRITE) and path[-1] != "/"}


def kept(tree: Tree, path: str) -> tuple[int, str] | None:
    """Mode and content of a file, the content as a blob in the repository; None where there is none."""
    content = tree.on_disk(path)
    if content is None:
        return None
    mode = os.lstat(f"{tree.root}/{path}").st_mode
    done = tree.data("hash-object", "-w", "--stdin", feed=content)
    done.check_returncode()
    return mode, done.stdout.decode().strip()


def begin_channel(tree: Tree, channel: str) -> None:
    """Write down how the checkout is. No build counts from here on: the script builds, too."""
    files = differing_files(tree)
    left = {path for path in files if is_large(f"{tree.root}/{path}")}
    before = {path: kept(tree, path) for path in files - left}
    with suppress(FileNotFoundError):
        os.rename(f"{tree.root}/{STAMP}", f"{tree.git_dir}/{BUILD}")
    note = f"{tree.git_dir}/{CHANNEL}"
    with open(f"{note}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump({"channel": channel, "before": before, "left": sorted(left)}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{note}.new", note)


def is_large(path: str) -> bool:
    """Return whether a file is too large to be source code."""
    return os.path.lexists(path) and os.lstat(path).st_size > LARGEST_KEPT


def end_channel(tree: Tree, changed: bool = True) -> None:
    """Forget the note. A build counts again where the script has changed nothing."""
    with suppress(FileNotFoundError):
        if not changed:
            os.rename(f"{tree.git_dir}/{BUILD}", f"{tree.root}/{STAMP}")
    for name in (CHANNEL, BUILD):
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.git_dir}/{name}")


def noted_install(tree: Tree) -> dict[str, Any] | None:
    """The note of an install without an end."""
    try:
        with open(f"{tree.git_dir}/{CHANNEL}", encoding="utf-8", errors="surrogateescape") as file:
            note: dict[str, Any] = json.load(file)
            return note
    except FileNotFoundError:
        return None


def half_written(tree: Tree) -> set[str]:
    """Files that an install without an end has changed, and that were as HEAD has them before."""
    note = noted_install(tree)
    return differing_files(tree) - set(note["before"]) - set(note["left"]) if note else set()


def undo_channel(tree: Tree) -> str | None:
    """Bring the checkout back to what it was before an install without an end; the channel, if there was one."""
    note = noted_install(tree)
    if note is None:
        return None
    new = half_written(tree)
    for path in new:
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.root}/{path}")
    tracked = "".join(f"{path}\0" for path in tree.names("ls-files", "-z") if path in new)
    written = tree.run("checkout-index", "--quiet", "--force", "-z", "--stdin", seconds=600, feed=tracked)
    if written.returncode != 0:
        raise RuntimeError(f"git checkout-index: {written.stderr}")
    for path, was in note["before"].items():
        put_file_back(tree, path, was)
    end_channel(tree)
    return str(note["channel"])


def put_file_back(tree: Tree, path: str, was: tuple[int, str] | None) -> None:
    """Restore one file from its blob."""
    full = f"{tree.root}/{path}"
    with suppress(FileNotFoundError):
        os.unlink(full)
    if was is None:
        return
    mode, blob = was
    content = tree.data("cat-file", "blob", blob)
    content.check_returncode()
    os.makedirs(os.path.dirname(full), exist_ok=True)
    if stat.S_ISLNK(mode):
        os.symlink(content.stdout, os.fsencode(full))
        return
    with open(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content.stdout)
        os.fchmod(file.fileno(), stat.S_IMODE(mode))
