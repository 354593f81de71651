"""What is checked out, and the commit that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from files.pods.source.channel_undo import half_written
from files.pods.source.git_worktree import Tree, is_commit, nowhere, shown_url

REMOTE_SECONDS = 30
"""A remote that is silent costs as much, at each look."""


def remote_commit(tree: Tree | None, repository: str, ref: str) -> tuple[str | None, str | None]:
    """The commit of a tag or branch at the remote, or why there is none. Without a tree, git works in no repository;
    nor does root's in one that somebody else can configure, who has none of root's ways to the remote."""
    names = ["refs/tags/" + ref + "^{}", "refs/tags/" + ref, "refs/heads/" + ref]
    run = tree.run if tree and not tree.runs_as() else nowhere
    result = run("ls-remote", repository, *names, seconds=REMOTE_SECONDS)
    if result.returncode != 0:
        return None, " ".join(result.stderr.split())[-300:] or "git ls-remote failed"
    found = {line.split("\t")[1]: line.split("\t")[0] for line in result.stdout.splitlines()}
    for name in names:
        if name in found:
            return found[name], None
    return None, None if is_commit(ref) else "it has no tag and no branch of that name"


def resolve(
    tree: Tree, ref: str, head: str, remote: Callable[[], tuple[str | None, str | None]]
) -> tuple[str | None, str | None]:
    """The commit that is wanted, or why it is not known. What is checked out already needs no network."""
    branch = tree.commit("refs/remotes/origin/" + ref)
    if tree.commit("refs/tags/" + ref) == head or (is_commit(ref) and not branch and head.startswith(ref)):
        return head, None
    if is_commit(ref) and len(ref) == 40:
        return ref, None
    commit, why = remote()
    here = tree.commit("refs/tags/" + ref) or (tree.commit(ref) if is_commit(ref) and not branch else None)
    return (commit or here), (None if commit or here else why)


def repository_state(tree: Tree, ref: str, remote: Callable[[], tuple[str | None, str | None]]) -> dict[str, Any]:
    """Return remote, current and desired commit, and files changed in both."""
    head = tree.commit("HEAD")
    if head is None:
        return {"foreign": tree.foreign()}
    desired, why = resolve(tree, ref, head, remote)
    here = desired is not None and desired != head and tree.commit(desired) is not None
    try:
        changed = tree.in_the_way(head, desired)[0] if desired and here else []
        changed = [path for path in changed if path not in half_written(tree)]
    except RuntimeError:  # an index that a power cut left in pieces; fetch_source repairs it
        changed = []
    return {
        "remote": shown_url(tree.ask("config", "--get", "remote.origin.url")),
        "commit": head,
        "desired": desired,
        "unresolved": why,
        "changed": changed,
    }
