"""Commits that NanoClaw's own setup makes on top of a release: one for each skill that it applies."""

from __future__ import annotations

from files.pods.source.git_worktree import Tree

SUBJECT = "setup: apply "
"""How their subjects begin; the name of what was applied follows."""
MOST = 32
"""More such commits than any setup makes: then none counts."""
SKILL_PATHS = (
    *("package.json", "pnpm-lock.yaml", "versions.json"),
    *(".claude/skills/", "container/", "docs/", "scripts/", "setup/", "src/"),
)
"""Where a skill writes what it brings. Another path in a commit makes it the operator's."""


def setup_commits(tree: Tree, head: str) -> tuple[str, list[str]]:
    """Return the commit below those that setup made, and the names of what they applied; the last is first."""
    form = ("--first-parent", "--no-show-signature", f"--max-count={MOST}", "--format=%H%x09%P%x09%s")
    names: list[str] = []
    for line in (tree.ask("log", *form, head) or "").splitlines():
        commit, parents, subject = (*line.split("\t", 2), "", "")[:3]
        if not is_setup(tree, commit, parents, subject):
            return commit, names
        names.append(subject[len(SUBJECT) :])
    return head, []


def is_setup(tree: Tree, commit: str, parents: str, subject: str) -> bool:
    """Whether a commit applies a skill and does nothing else."""
    if not subject.startswith(SUBJECT) or not parents or " " in parents:
        return False
    return all(path.startswith(SKILL_PATHS) for path in tree.differing(parents, commit))
