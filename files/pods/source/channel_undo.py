"""Undo of an unfinished channel install.

NanoClaw's script writes files and an import before it installs the package that they need, so a failure leaves a
checkout that does not build. A note in .git has the state before. It exists while a script runs, and the next build
undoes the install first.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.source.git_worktree import AGENT_PATHS, STAMP, Tree

CHANNEL = "nanoclaw-pods-channel"
"""File in .git: {"channel": name, "before": {path: [mode, blob], or null for one that is missing}, "left": [path…]}."""
BUILD = "nanoclaw-pods-build-before-channel"
"""File in .git: the stamp of the build before."""
NEXT_SKILLS = "nanoclaw-pods-skills-next"
"""File in .git: the record of skills (skill_record.py) that counts once the note is gone."""
LARGEST_KEPT = 16 << 20
"""Larger files are not NanoClaw's source: they stay as they are."""


def differing_files(tree: Tree) -> set[str]:
    """Return tracked files that differ from HEAD, and untracked ones; without agents' files and other repositories."""
    changed = tree.names("diff-index", "-z", "--name-only", "HEAD")
    new = tree.names("ls-files", "-z", "--others", "--exclude-standard")
    return {path for path in (*changed, *new) if not path.startswith(AGENT_PATHS) and path[-1] != "/"}


def kept(tree: Tree, path: str) -> tuple[int, str] | None:
    """Store a file's content as a blob in the repository; return its mode and blob, or None without the file."""
    content = tree.on_disk(path)
    if content is None:
        return None
    mode = os.lstat(f"{tree.root}/{path}").st_mode
    done = tree.data("hash-object", "-w", "--stdin", feed=content)
    done.check_returncode()
    return mode, done.stdout.decode().strip()


def begin_channel(tree: Tree, channel: str) -> None:
    """Write down the state of the checkout. No build counts until the end: the script builds, too."""
    files = differing_files(tree)
    left = {path for path in files if is_large(f"{tree.root}/{path}")}
    before = {path: kept(tree, path) for path in files - left}
    with suppress(FileNotFoundError):
        os.rename(f"{tree.root}/{STAMP}", f"{tree.git_dir}/{BUILD}")
    note = {"channel": channel, "before": before, "left": sorted(left)}
    replace(f"{tree.git_dir}/{CHANNEL}", json.dumps(note).encode())


def is_large(path: str) -> bool:
    """Return whether a file is too large to be source code."""
    return os.path.lexists(path) and os.lstat(path).st_size > LARGEST_KEPT


def end_channel(tree: Tree, changed: bool = True) -> None:
    """Remove the note. The build before counts again if the script changed nothing."""
    with suppress(FileNotFoundError):
        if not changed:
            os.rename(f"{tree.git_dir}/{BUILD}", f"{tree.root}/{STAMP}")
    for name in (CHANNEL, BUILD):
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.git_dir}/{name}")


def read_note(tree: Tree) -> dict[str, Any] | None:
    """Return the note of an unfinished install, or None."""
    try:
        with open(f"{tree.git_dir}/{CHANNEL}", encoding="utf-8", errors="surrogateescape") as file:
            note: dict[str, Any] = json.load(file)
            return note
    except FileNotFoundError:
        return None


def half_written(tree: Tree) -> set[str]:
    """Return the files that an unfinished install has changed and that were as in HEAD before."""
    note = read_note(tree)
    return differing_files(tree) - set(note["before"]) - set(note["left"]) if note else set()


def undo_channel(tree: Tree) -> str | None:
    """Restore the checkout from before an unfinished install; return its channel, or None."""
    note = read_note(tree)
    if note is None:
        return None
    revert_files(tree, half_written(tree), note["before"])
    with suppress(FileNotFoundError):
        os.unlink(f"{tree.git_dir}/{NEXT_SKILLS}")
    end_channel(tree)
    return str(note["channel"])


def revert_files(tree: Tree, new: set[str], before: dict[str, tuple[int, str] | None]) -> None:
    """Make files as they are in HEAD again, or as their blobs.

    + new: files to write as in HEAD, or to remove where HEAD has none
    + before: mode and blob of files that differed from HEAD; None for one that was missing
    """
    for path in new:
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.root}/{path}")
    tracked = "".join(f"{path}\0" for path in tree.names("ls-files", "-z") if path in new)
    written = tree.run("checkout-index", "--quiet", "--force", "-z", "--stdin", seconds=600, feed=tracked)
    if written.returncode != 0:
        raise RuntimeError(f"git checkout-index: {written.stderr}")
    for path, was in before.items():
        restore_file(tree, path, was)


def restore_file(tree: Tree, path: str, was: tuple[int, str] | None) -> None:
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
