"""The commit that is checked out, and the desired one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from files.pods.source.channel_undo import half_written
from files.pods.source.git_worktree import Tree, git_outside, is_commit, shown_url
from files.pods.source.protocol import RepositoryState
from files.pods.source.setup_commits import setup_commits
from files.pods.source.skill_record import applied_files

NO_REPOSITORY = RepositoryState([], None, None, None, None, [])
REMOTE_SECONDS = 30
"""A silent remote costs as much, each time it is asked."""


def remote_commit(tree: Tree | None, repository: str, ref: str) -> tuple[str | None, str | None]:
    """Return the commit of a tag or branch at the remote, or why there is none.

    git runs outside of a repository without a tree, or if root's checkout is another user's: that user configures it,
    and has no access to root's remote.
    """
    names = ["refs/tags/" + ref + "^{}", "refs/tags/" + ref, "refs/heads/" + ref]
    run = tree.run if tree and not tree.runs_as() else git_outside
    result = run("ls-remote", repository, *names, seconds=REMOTE_SECONDS)
    if result.returncode != 0:
        return None, " ".join(result.stderr.split())[-300:] or "git ls-remote failed"
    commits = {line.split("\t")[1]: line.split("\t")[0] for line in result.stdout.splitlines()}
    for name in names:
        if name in commits:
            return commits[name], None
    return None, None if is_commit(ref) else "it has no tag and no branch of that name"


def resolve(
    tree: Tree, ref: str, head: str, remote: Callable[[], tuple[str | None, str | None]]
) -> tuple[str | None, str | None]:
    """Return the desired commit, or why it is unknown. Needs no network for a commit that is checked out.

    What NanoClaw's own setup has committed on top of the desired commit stays: then that is the desired one.
    """
    base, _names = setup_commits(tree, head)
    commit, why = resolve_below(tree, ref, base, remote)
    return (head if commit == base else commit), why


def resolve_below(
    tree: Tree, ref: str, head: str, remote: Callable[[], tuple[str | None, str | None]]
) -> tuple[str | None, str | None]:
    """Return the commit of a ref, or why it is unknown; `head` is the one that is checked out."""
    branch = tree.commit("refs/remotes/origin/" + ref)
    if tree.commit("refs/tags/" + ref) == head or (is_commit(ref) and not branch and head.startswith(ref)):
        return head, None
    if is_commit(ref) and len(ref) == 40:
        return ref, None
    commit, why = remote()
    here = tree.commit("refs/tags/" + ref) or (tree.commit(ref) if is_commit(ref) and not branch else None)
    return (commit or here), (None if commit or here else why)


def repository_state(tree: Tree, ref: str, remote: Callable[[], tuple[str | None, str | None]]) -> RepositoryState:
    """Return remote, current and desired commit, and files changed in both."""
    head = tree.commit("HEAD")
    if head is None:
        return replace(NO_REPOSITORY, foreign=tree.foreign())
    desired, why = resolve(tree, ref, head, remote)
    here = desired is not None and desired != head and tree.commit(desired) is not None
    try:
        changed = tree.in_the_way(head, desired)[0] if desired and here else []
        undone = half_written(tree) | applied_files(tree)
        changed = [path for path in changed if path not in undone]
    except RuntimeError:  # a power cut corrupted the index; source.fetch repairs it
        changed = []
    remote_url = shown_url(tree.ask("config", "--get", "remote.origin.url"))
    return RepositoryState([], remote_url, head, desired, why, changed)
