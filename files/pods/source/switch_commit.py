"""Switch the work tree to the desired commit, and keep local changes.

Can be repeated after any interruption: .git/nanoclaw-pods-moving exists while files are written. data/v2.db is copied
first.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import discard_write_errors, run_with_deadline, sync_file_system
from files.pods.source.central_database import make_copy
from files.pods.source.channel_undo import undo_channel
from files.pods.source.git_worktree import AGENT_PATHS, MANAGED, Tree, become_worker
from files.pods.source.protocol import SwitchRequest
from files.pods.source.setup_commits import setup_commits
from files.pods.source.skill_record import undo_skills

WHO = ("-c", "user.name=nanoclaw-pods", "-c", "user.email=nanoclaw-pods@localhost")


def run(tree: Tree, *args: str, feed: str = "") -> str:
    """Run git; exit with its errors if it fails."""
    done = tree.run(*args, seconds=600, feed=feed)
    if done.returncode != 0:
        sys.exit(f"git {' '.join(args)}:\n{done.stderr}")
    return done.stdout


def first_checkout(tree: Tree, desired: str) -> None:
    """Write every file; where agents write, only those that are missing or half written.

    HEAD comes last: until then the checkout counts as unfinished.
    """
    run(tree, "read-tree", desired)
    paths = []
    for path in tree.names("ls-files", "-z"):
        there = tree.on_disk(path) if path.startswith(AGENT_PATHS) else None
        if there is None or (tree.blob(desired, path) or b"").startswith(there):
            paths.append(path)
    run(tree, "checkout-index", "--force", "--quiet", "-z", "--stdin", feed="\0".join(paths) + "\0")
    tree.run("update-index", "-q", "--refresh", seconds=600)
    sync_file_system(tree.root)
    run(tree, "update-ref", "--no-deref", "HEAD", desired)


def stash_changes(tree: Tree, head: str, message: str) -> None:
    """Stash changed and new files, without sessions and groups, which may be in use."""
    changed = tree.names("diff-index", "-z", "--name-only", head)
    new = tree.names("ls-files", "-z", "--others", "--exclude-standard")
    paths = [path for path in changed + new if not path.startswith(AGENT_PATHS)]
    push = ("stash", "push", "--quiet", "--include-untracked", "--message", message)
    named = ("--pathspec-from-file=-", "--pathspec-file-nul")
    run(tree, "--literal-pathspecs", *WHO, *push, *named, feed="\0".join(paths))


def accept_agent_files(tree: Tree, head: str, desired: str) -> str:
    """Make git keep changed files of sessions and groups: put their desired entries into its index.

    Return the tree with these entries, from which git moves on. The files still show as changed.
    """
    entries = []
    for path in tree.differing(head, desired):
        if path.startswith(AGENT_PATHS) and tree.on_disk(path) != tree.blob(head, path):
            entry = run(tree, "ls-tree", "-z", desired, "--", path).rstrip("\0").partition("\t")[0].split()
            entries.append(f"{entry[0]} {entry[2]}\t{path}\0" if entry else f"0 {'0' * 40}\t{path}\0")
    if not entries:
        return head
    index = ("update-index", "-z", "--index-info")
    run(tree, *index, feed="".join(entries))
    os.environ["GIT_INDEX_FILE"] = os.path.join(tree.git_dir, "nanoclaw-pods-index")
    try:
        run(tree, "read-tree", head)
        run(tree, *index, feed="".join(entries))
        return run(tree, "write-tree").strip()
    finally:
        os.unlink(os.environ.pop("GIT_INDEX_FILE"))


def move(tree: Tree, head: str, desired: str, stash: str | None) -> None:
    """Write the files that differ. HEAD comes last: until then the move counts as unfinished."""
    changed, left = tree.in_the_way(head, desired)
    if changed and not stash:
        sys.exit(f"changed on this machine and in the new version: {', '.join(changed)}")
    tree.begin(head)
    for path in left:
        os.unlink(os.path.join(tree.root, path))
    if changed and stash:
        stash_changes(tree, head, stash)
    start = accept_agent_files(tree, head, desired)
    tree.run("update-index", "-q", "--refresh", seconds=600)
    run(tree, "read-tree", "-m", "-u", start, desired)
    ours = [path for path in tree.differing(head, desired) if not path.startswith(AGENT_PATHS)]
    known = set(tree.names("ls-files", "-z"))
    gone = [path for path in ours if path in known and not os.path.lexists(os.path.join(tree.root, path))]
    run(tree, "checkout-index", "--quiet", "-z", "--stdin", feed="".join(path + "\0" for path in gone))
    sync_file_system(tree.root)
    run(tree, "update-ref", "--no-deref", "-m", "nanoclaw-pods: moved", "HEAD", desired)


def keep_database(tree: Tree, head: str, name: str | None = None) -> str | None:
    """Copy the central database before the version moves: the next one may migrate it, and cannot go back.

    Return the path of the copy; None without a database.
    """
    try:
        version = str(json.loads(tree.blob(head, "package.json") or b"{}").get("version"))
        kept = make_copy(tree.root, head, version, name)
    except (OSError, sqlite3.Error, ValueError) as error:
        sys.exit(f"{tree.root}/data/v2.db cannot be copied, and nothing was moved: {error}")
    if kept:
        print(f"copied data/v2.db to {kept}")
    return kept


def main(tree: Tree, ref: str, stash: str | None) -> None:
    """Switch to the commit of a ref, without what skills of the present one have changed."""
    undo_channel(tree)
    head, desired = tree.commit("HEAD"), tree.resolve(ref)
    if desired is None:
        sys.exit(f"{ref} was not fetched")
    if head is None:
        first_checkout(tree, desired)
    elif desired not in (head, setup_commits(tree, head)[0]):
        undo_skills(tree)
        keep_database(tree, head)
        move(tree, head, desired, stash)
    with open(os.path.join(tree.git_dir, MANAGED), "a", encoding="utf-8"):
        pass
    tree.end()


if __name__ == "__main__":
    request = read_request(SwitchRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(1500, request.root)
    become_worker(request.root, request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    main(Tree(request.root), request.ref, request.stash)
