"""Stage a commit beside the project root, with the local changes of the project root. Changes nothing in the latter.

The stage is a checkout of its own, which borrows the objects of the project root's repository. It moves from the commit
of the project root to the desired one as the project root will, so what stands in the way is known before anything
stops. Repeats safely; node_modules and dist of an earlier stage are reused.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import (
    become_user,
    discard_write_errors,
    on_network,
    run_with_deadline,
    sync_file_system,
)
from files.pods.source.channel_undo import CHANNEL, NEXT_SKILLS, differing_files, half_written, restore_file
from files.pods.source.fetch import remove_stale_locks
from files.pods.source.git_worktree import Tree, become_owner, other_owner
from files.pods.source.skill_record import RECORD, applied_files, read_record, unchanged_files
from files.pods.source.stage_place import OUTPUTS, SWITCHED, check_renames, make_place, stage_of
from files.pods.source.staging_protocol import StageRequest
from files.pods.source.switch_commit import move, run
from files.pods.source.switch_skills import NEW_ENTRIES


def local_changes(tree: Tree) -> set[str]:
    """Return the files that differ from HEAD by an operator's hand: a skill's are applied anew."""
    return differing_files(tree) - applied_files(tree) - half_written(tree)


def before_skills(tree: Tree) -> dict[str, tuple[int, str] | None]:
    """Return mode and blob of files that an operator changed, as they were before a skill changed them, too."""
    record = read_record(tree)
    if record is None:
        return {}
    return {path: file.before for path in unchanged_files(tree, record) if (file := record.files[path]).differed}


def borrow(tree: Tree, stage: Tree, head: str) -> None:
    """Make the stage a checkout of the same commit; git finds its objects in the project root."""
    os.makedirs(stage.root, mode=0o700, exist_ok=True)
    if os.path.isdir(stage.git_dir):
        remove_stale_locks(stage.git_dir)
        stage.end()
    run(stage, "init", "--quiet")
    for name in (CHANNEL, NEXT_SKILLS, RECORD, NEW_ENTRIES):  # of files that are written anew below
        with suppress(FileNotFoundError):
            os.unlink(f"{stage.git_dir}/{name}")
    if remote := tree.ask("config", "--get", "remote.origin.url"):  # skills fetch from it
        run(stage, "config", "remote.origin.url", remote)
        run(stage, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    with open(f"{stage.git_dir}/objects/info/alternates", "w", encoding="utf-8") as file:
        file.write(f"{tree.git_dir}/objects\n")
    run(stage, "update-ref", "--no-deref", "HEAD", head)
    run(stage, "read-tree", "--reset", "-u", head)
    kept = [word for name in OUTPUTS for word in ("--exclude", f"/{name}")]
    run(stage, "clean", "-ffdxq", *kept)


def carry(tree: Tree, stage: Tree, paths: set[str]) -> None:
    """Bring files of the project root to the stage: links as links, and none where the project root has none."""
    for path in sorted(paths):
        source, target = os.path.join(tree.root, path), os.path.join(stage.root, path)
        if not os.path.lexists(source):
            if os.path.lexists(target):
                os.unlink(target)
            continue
        if not stat.S_ISREG(os.lstat(source).st_mode) and not os.path.islink(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        shutil.copy2(source, target, follow_symlinks=False)


def main(root: str, commit: str, stash: str | None, *, committed: bool = False) -> None:
    """Stage the commit.

    + committed: whether the last switch was, and left its record: the machine may have stopped right then
    """
    tree, stage = Tree(root), Tree(stage_of(root))
    head = tree.commit("HEAD")
    if head is None:
        raise SystemExit(f"{root} has no commit checked out")
    if committed:
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.git_dir}/{SWITCHED}")
    if os.path.lexists(f"{tree.git_dir}/{SWITCHED}"):
        raise SystemExit(
            f"a switch of {root} is undecided: switch back, or commit it, before another version is staged"
        )
    check_renames(root)
    stage_is_new = not os.path.isdir(stage.git_dir)
    try:
        borrow(tree, stage, head)
    except SystemExit:  # a power cut leaves a repository that git cannot read
        if stage_is_new:
            raise
        shutil.rmtree(stage.git_dir)
        borrow(tree, stage, head)
    own = before_skills(tree)
    carry(tree, stage, local_changes(tree) - set(own))
    for path, was in own.items():
        restore_file(stage, path, was)
    if head != commit:
        move(stage, head, commit, stash)
        stage.end()
    sync_file_system(stage.root)
    print(f"{'staged' if stage_is_new else 'staged again'}: {commit[:12]} in {stage.root}")


if __name__ == "__main__":
    request = read_request(StageRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(1500, request.root)
    committed = request.marker is not None and os.path.exists(request.marker)
    ids = (request.uid, request.gid)
    other = other_owner(request.root) if request.uid == 0 else None
    if on_network(request.root):
        become_owner(other) if other else become_user(request.user, *ids)
        make_place(request.root, other or ids)
    else:
        make_place(request.root, ids)
        become_user(request.user, *ids)
    discard_write_errors(request.root)
    main(request.root, request.commit, request.stash, committed=committed)
