"""Undo a move of the work tree that has ended or was interrupted, with its stash: for programs that import it.

Every part can be repeated. Agents' files stay as they are, but for those that the move itself has written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from files.pods.common.run_as_host_user import sync_file_system
from files.pods.source.channel_undo import kept, restore_file
from files.pods.source.git_worktree import AGENT_PATHS, Tree
from files.pods.source.switch_commit import run


def own_files(tree: Tree, before: str, commit: str) -> dict[str, list[Any]]:
    """Return what a move to `commit` leaves alone or overwrites, though it is not as in the commit before.

    "agents": their changed files. "same": files that are as in `commit` already, each with its mode and blob.
    """
    agents = [path for path in tree.differing(before, commit) if path.startswith(AGENT_PATHS)]
    left = tree.in_the_way(before, commit)[1]
    return {
        "agents": [path for path in agents if tree.on_disk(path) != tree.blob(before, path)],
        "same": [[path, *blob] for path in left if (blob := kept(tree, path))],
    }


def undo_move(tree: Tree, before: str, commit: str, agents: list[str]) -> None:
    """Write the files of the commit before again.

    + agents: agents' files that the move has left alone
    """
    half, resumed = tree.interrupted() is not None, tree.interrupted() == commit
    tree.begin(commit)
    gone = []
    for path in tree.differing(before, commit):
        now, old, new = tree.on_disk(path), tree.blob(before, path), tree.blob(commit, path)
        is_agents = path.startswith(AGENT_PATHS)
        if path in agents or now == old:
            continue
        if now is None and (os.path.lexists(f"{tree.root}/{path}") or (is_agents and new is not None and not half)):
            continue
        if now is not None and now != new and not (half and begins(now, new, old if resumed else None)):
            continue
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.root}/{path}")
        gone.append(path)
    run(tree, "read-tree", before)
    known = set(tree.names("ls-files", "-z"))
    feed = "".join(f"{path}\0" for path in gone if path in known)
    run(tree, "checkout-index", "--quiet", "-z", "--stdin", feed=feed)
    tree.run("update-index", "-q", "--refresh", seconds=600)
    sync_file_system(tree.root)
    run(tree, "update-ref", "--no-deref", "-m", "nanoclaw-pods: moved back", "HEAD", before)
    tree.end()


def begins(now: bytes, *contents: bytes | None) -> bool:
    """Return whether a file is one of these contents, whole or half written."""
    return any(content is not None and content.startswith(now) for content in contents)


def restore_same(tree: Tree, before: str, same: list[Any]) -> None:
    """Bring back local changes that were as in the version that did not stay."""
    for path, mode, blob in same:
        now, content = tree.on_disk(path), tree.data("cat-file", "blob", blob)
        content.check_returncode()
        if now is None or now == tree.blob(before, path) or content.stdout.startswith(now):
            restore_file(tree, path, (mode, blob))


def restore_stash(tree: Tree, message: str) -> None:
    """Bring back the local changes that a switch stashed. A switch that was interrupted may have stashed twice.

    `git stash pop` would fail once it was interrupted.
    """
    lines = (tree.ask("stash", "list", "--format=%gd %s") or "").splitlines()
    names = [line.partition(" ")[0] for line in lines if line.endswith(message)]
    for name in reversed(names):  # the first stash is the last line
        for path in tree.differing(f"{name}^1", name):
            restore_from(tree, name, path)
        if tree.commit(f"{name}^3"):  # untracked files
            for path in tree.names("ls-tree", "-r", "-z", "--name-only", f"{name}^3"):
                restore_from(tree, f"{name}^3", path)
    if names:
        sync_file_system(tree.root)
    for name in reversed(names):
        run(tree, "stash", "drop", "--quiet", name)


def restore_from(tree: Tree, commit: str, path: str) -> None:
    """Make a file as it is in a commit, which may have none."""
    entry = run(tree, "ls-tree", "-z", commit, "--", path).rstrip("\0").partition("\t")[0].split()
    if entry and entry[1] != "blob":
        return
    was = (int(entry[0], 8), entry[2]) if entry else None
    if was != kept(tree, path) or was is None:
        with suppress(NotADirectoryError):
            restore_file(tree, path, was)
