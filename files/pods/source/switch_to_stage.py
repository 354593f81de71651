"""Switch the project root to its staged version while the service is stopped; or, with `back`, to the one before.

git writes the files that differ, and renames exchange what a build made. A record in .git says what was begun, so that
both ways can be repeated after any interruption, and the way back ends where the switch began: the same commit, local
changes, skills, modules, outputs, upgrade marker and .env. Sessions, groups and the database are left alone, but for a
copy of the database before the switch.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import stat
import sys
from contextlib import suppress
from typing import Any

from files.pods.common import run_lock
from files.pods.common.atomic_write import replace
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.run_as_host_user import discard_write_errors, run_with_deadline, sync_file_system
from files.pods.source.build import MODULES
from files.pods.source.fetch import git_processes, remove_stale_locks
from files.pods.source.git_worktree import STAMP, Tree, become_worker
from files.pods.source.skill_record import undo_skills
from files.pods.source.stage_place import OUTPUTS, SWITCHED, kept_of, stage_of
from files.pods.source.staging_protocol import SwitchToStageRequest
from files.pods.source.switch_commit import keep_database, move, run
from files.pods.source.switch_skills import restore_skills, take_over_skills, undo_new_skills, written_by_skills
from files.pods.source.undo_move import own_files, restore_same, restore_stash, undo_move
from files.pods.source.version_state import MARKED, MARKER

RECORD = SWITCHED
LARGEST_RECORD = 64 << 20
EXCHANGED = (*OUTPUTS, STAMP, MODULES)
"""In this order: a build counts only with its stamp, and the outputs are there before it."""
ENV = ".env"
KEPT_FILES = (MARKER, MARKED, ENV)
"""Files that a new version or its setup writes."""


def read_record(tree: Tree) -> dict[str, Any]:
    """Return the record; empty without one. Raises OSError or ValueError for one that cannot be read."""
    try:
        record: dict[str, Any] = json.loads(read_untrusted_bytes(f"{tree.git_dir}/{RECORD}", max_bytes=LARGEST_RECORD))
    except FileNotFoundError:
        return {}
    return record


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
    """Copy the upgrade marker, the role's note of it, and .env, for the way back. A link stays, and what it names."""
    for path in KEPT_FILES:
        if not os.path.islink(f"{root}/{path}"):
            with suppress(FileNotFoundError):
                mode = stat.S_IMODE(os.lstat(f"{root}/{path}").st_mode)
                replace(f"{kept_of(root)}/{path}", read_untrusted_bytes(f"{root}/{path}"), mode)


def restore_files(root: str) -> None:
    """Put these files back as they were; remove those that there were not, but never an .env."""
    for path in KEPT_FILES:
        here, old = f"{root}/{path}", f"{kept_of(root)}/{path}"
        if os.path.islink(here):
            continue
        if not os.path.exists(old):
            with suppress(FileNotFoundError):
                if path != ENV:
                    os.unlink(here)
        elif not os.path.exists(here) or read_untrusted_bytes(here) != read_untrusted_bytes(old):
            replace(here, read_untrusted_bytes(old), stat.S_IMODE(os.lstat(old).st_mode))


def forward(root: str, commit: str, stash: str | None) -> None:
    """Switch to the staged version."""
    tree = Tree(root)
    end_locks(tree)
    record = read_record(tree)
    if record and (record["commit"] != commit or tree.interrupted() == record["commit"] or "undone" in record):
        sys.exit(f"{root} is in the middle of a switch to {record['commit']}, or back: switch back first")
    if not record:
        record = begin_switch(tree, commit, stash)
    if tree.commit("HEAD") != commit:
        undo_skills(tree)
        move(tree, record["before"], commit, record["stash"])
    tree.end()
    take_over_skills(root)
    exchange(root, record["paths"])
    sync_file_system(root)


def begin_switch(tree: Tree, commit: str, stash: str | None) -> dict[str, Any]:
    """Keep what the way back needs, and write the record; return it. Exit if the commit is not staged and built."""
    root, stage, head = tree.root, Tree(stage_of(tree.root)), tree.commit("HEAD")
    if head is None or not os.path.isdir(stage.git_dir) or stage.commit("HEAD") != commit:
        sys.exit(f"{commit[:12]} is not staged in {stage.root}")
    paths = [path for path in EXCHANGED if os.path.lexists(f"{stage.root}/{path}")]
    if not {*OUTPUTS, STAMP} <= set(paths):
        sys.exit(f"{commit[:12]} is staged in {stage.root}, but not built there")
    with suppress(FileNotFoundError):
        shutil.rmtree(kept_of(root))
    os.makedirs(kept_of(root), mode=0o700)
    keep_files(root)
    skills, attempt = written_by_skills(tree), secrets.token_hex(4)
    record: dict[str, Any] = {"id": attempt, "before": head, "commit": commit, "stash": stash, "paths": paths}
    record["skills"] = skills
    record |= {"branch": tree.ask("symbolic-ref", "--quiet", "HEAD"), **own_files(tree, head, commit)}
    copy = keep_database(tree, head, f"{head[:12]}-{attempt}")
    record["copy"] = copy and os.path.basename(copy)
    sync_file_system(root)
    replace(f"{tree.git_dir}/{RECORD}", json.dumps(record).encode(), 0o600)
    return record


def back(root: str) -> None:
    """Switch back to the version before; do nothing where no switch was begun."""
    undo_outputs(root)
    undo_files(root)
    end_back(root)


def undo_outputs(root: str) -> None:
    """Bring back what the build of the version before made: renames, which need no room."""
    if record := read_record(Tree(root)):
        exchange_back(root, record["paths"])


def undo_files(root: str) -> None:
    """Bring back the commit before with its local changes, and the files that the new version writes. Once only."""
    tree = Tree(root)
    record = read_record(tree)
    if not record or "undone" in record:
        return
    end_locks(tree)
    before, commit = record["before"], record["commit"]
    undo_new_skills(tree, commit)
    if tree.commit("HEAD") == commit or tree.interrupted() is not None:
        undo_move(tree, before, commit, record["agents"])
    if record["stash"]:
        restore_stash(tree, record["stash"])
    restore_same(tree, before, record["same"])
    restore_skills(tree, record["skills"])
    branch = record["branch"]
    if branch and tree.commit(branch) == before:
        run(tree, "symbolic-ref", "HEAD", branch)
    restore_files(root)
    sync_file_system(root)
    with suppress(OSError):  # the disk may be full: then this is repeated
        replace(f"{tree.git_dir}/{RECORD}", json.dumps({**record, "undone": True}).encode(), 0o600)


def end_back(root: str) -> None:
    """End the way back: until then all of it may be repeated."""
    with suppress(FileNotFoundError):
        os.unlink(f"{Tree(root).git_dir}/{RECORD}")


def end_locks(tree: Tree) -> None:
    """Remove the locks of a git that a power cut or a deadline has ended: every later git would fail."""
    if not git_processes(tree.root):
        remove_stale_locks(tree.git_dir)


if __name__ == "__main__":
    request = read_request(SwitchToStageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(900, request.root)
    become_worker(request.root, request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    if request.back:
        back(request.root)
    else:
        forward(request.root, request.commit, request.stash)
