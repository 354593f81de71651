"""Switch the project root to its staged version while the service is stopped; or, with `back`, to the one before.

git writes the files that differ, and renames exchange what a build made. A record in .git says what was begun, so that
both ways can be repeated after any interruption, and the way back ends where the switch began: the same commit, local
changes, modules, outputs, upgrade marker and .env. Sessions, groups and the database are left alone, but for a copy of
the database before the switch.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from typing import Any

from files.pods.common import run_lock
from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_bytes, read_untrusted_object
from files.pods.common.run_as_host_user import become_user, discard_write_errors, run_with_deadline, sync_file_system
from files.pods.source.build import MODULES
from files.pods.source.git_worktree import STAMP, Tree, become_owner, other_owner
from files.pods.source.stage import OUTPUTS
from files.pods.source.stage_place import kept_of, stage_of
from files.pods.source.staging_protocol import SwitchToStageRequest
from files.pods.source.switch_commit import WHO, keep_database, move, run
from files.pods.source.version_state import MARKED, MARKER

RECORD = "nanoclaw-pods-switched"
"""File in .git: {"before": commit, "commit": commit, "stash": message or null, "paths": what is exchanged}."""
EXCHANGED = (*OUTPUTS, STAMP, MODULES)
"""In this order: a build counts only with its stamp, and the outputs are there before it."""


ENV = ".env"
KEPT_FILES = {MARKER: 0o644, MARKED: 0o644, ENV: 0o600}
"""Files that a new version or its setup writes, with their modes."""


def read_record(tree: Tree) -> dict[str, Any]:
    """Return the record; empty without one."""
    return read_untrusted_object(f"{tree.git_dir}/{RECORD}")


def rename(source: str, target: str) -> None:
    """Rename a path, and create the directories above the target."""
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    os.rename(source, target)


def exchange(root: str, paths: list[str]) -> None:
    """Bring what the build of the stage made to the project root; keep what is there."""
    for path in paths:
        new, here, old = (f"{place}/{path}" for place in (stage_of(root), root, kept_of(root)))
        if os.path.lexists(new):
            if os.path.lexists(here):
                rename(here, old)
            rename(new, here)


def exchange_back(root: str, paths: list[str]) -> None:
    """Undo `exchange`, wherever it ended."""
    for path in reversed(paths):
        new, here, old = (f"{place}/{path}" for place in (stage_of(root), root, kept_of(root)))
        if not os.path.lexists(new) and os.path.lexists(here):
            rename(here, new)
        if os.path.lexists(old):
            rename(old, here)


def keep_files(root: str) -> None:
    """Copy the upgrade marker, the role's note of it, and .env, for the way back."""
    for path in KEPT_FILES:
        with suppress(FileNotFoundError):
            replace(f"{kept_of(root)}/{path}", read_untrusted_bytes(f"{root}/{path}"), 0o600)


def restore_files(root: str) -> None:
    """Put these files back as they were; remove those that there were not, but never an .env."""
    for path, mode in KEPT_FILES.items():
        try:
            replace(f"{root}/{path}", read_untrusted_bytes(f"{kept_of(root)}/{path}"), mode)
        except FileNotFoundError:
            with suppress(FileNotFoundError):
                if path != ENV:
                    os.unlink(f"{root}/{path}")


def forward(root: str, commit: str, stash: str | None) -> None:
    """Switch to the staged version."""
    tree, stage = Tree(root), Tree(stage_of(root))
    record = read_record(tree)
    if record.get("commit") != commit:
        if record:
            sys.exit(f"{root} is in the middle of a switch to {record.get('commit')}: switch back first")
        head = tree.commit("HEAD")
        if head is None or not os.path.isdir(stage.git_dir) or stage.commit("HEAD") != commit:
            sys.exit(f"{commit[:12]} is not staged in {stage.root}")
        shutil.rmtree(kept_of(root), ignore_errors=True)
        os.makedirs(kept_of(root), mode=0o700, exist_ok=True)
        keep_files(root)
        paths = [path for path in EXCHANGED if os.path.lexists(f"{stage.root}/{path}")]
        record = {"before": head, "commit": commit, "stash": stash, "paths": paths}
        keep_database(tree, head)
        sync_file_system(root)
        replace(f"{tree.git_dir}/{RECORD}", json.dumps(record).encode(), 0o600)
    if tree.commit("HEAD") != commit:
        move(tree, record["before"], commit, record["stash"])
        tree.end()
    exchange(root, record["paths"])
    sync_file_system(root)


def back(root: str) -> None:
    """Switch back to the version before; do nothing where no switch was begun."""
    tree = Tree(root)
    record = read_record(tree)
    if not record:
        return
    exchange_back(root, record["paths"])
    before, commit = record["before"], record["commit"]
    if tree.commit("HEAD") == commit or tree.interrupted() is not None:
        undo_move(tree, before, commit)
    if record["stash"]:
        pop_stash(tree, record["stash"])
    restore_files(root)
    sync_file_system(root)
    os.unlink(f"{tree.git_dir}/{RECORD}")


def undo_move(tree: Tree, before: str, commit: str) -> None:
    """Write the files of the commit before again, from a move that has ended or was interrupted."""
    tree.begin(commit)
    for path in tree.differing(before, commit):
        now, old, new = tree.on_disk(path), tree.blob(before, path), tree.blob(commit, path)
        if now is not None and now != old and new is not None and new.startswith(now):
            os.unlink(f"{tree.root}/{path}")
    run(tree, "read-tree", before)
    missing = [path for path in tree.differing(before, commit) if not os.path.lexists(f"{tree.root}/{path}")]
    known = set(tree.names("ls-files", "-z"))
    feed = "".join(f"{path}\0" for path in missing if path in known)
    run(tree, "checkout-index", "--quiet", "-z", "--stdin", feed=feed)
    tree.run("update-index", "-q", "--refresh", seconds=600)
    sync_file_system(tree.root)
    run(tree, "update-ref", "--no-deref", "-m", "nanoclaw-pods: moved back", "HEAD", before)
    tree.end()


def pop_stash(tree: Tree, message: str) -> None:
    """Bring back the local changes that the switch stashed."""
    for line in (tree.ask("stash", "list", "--format=%gd %s") or "").splitlines():
        name, _, subject = line.partition(" ")
        if subject.endswith(message):
            run(tree, *WHO, "stash", "pop", "--quiet", name)
            return


if __name__ == "__main__":
    request = read_request(SwitchToStageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(900, request.root)
    other = other_owner(request.root) if request.uid == 0 else None
    if other:
        become_owner(other)
    else:
        become_user(request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    if request.back:
        back(request.root)
    else:
        forward(request.root, request.commit, request.stash)
