"""The trees of v1 in numbers, and the entries that NanoClaw's own migration skips or fails on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from files.pods.v1.count import SAMPLES, count, counts
from files.pods.v1.v1_state import Tree, TreeState


def made(top: Path, *names: str) -> None:
    """Files of one byte, directories (with a slash at the end) and links (NAME -> TARGET)."""
    for name in names:
        path, _, target = name.partition(" -> ")
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        if target:
            (top / path).symlink_to(target)
        elif path.endswith("/"):
            (top / path).mkdir(exist_ok=True)
        else:
            (top / path).write_text("x")


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (("main/.git/config", "main/.git/hooks/x"), {".git": ["main/.git"]}),
        (("main/sub/node_modules/a/CLAUDE.md",), {"node_modules": ["main/sub/node_modules"]}),
        (("main/node_modules/a -> b",), {"node_modules": ["main/node_modules"]}),
        (("main/CLAUDE.md", "main/logs/x"), {}),
        (("main/sub/CLAUDE.md", "main/sub/logs/x"), {"memory": ["main/sub/CLAUDE.md"], "logs": ["main/sub/logs"]}),
        ((".git/config", "node_modules/x"), {}),
        (("main/a -> /etc/passwd",), {"link": ["main/a"]}),
        (("main -> other", "other/"), {"link": ["main"], "in the way": ["main"]}),
        (
            ("main/CLAUDE.local.md", "main/CLAUDE.global.md", "main/container.json", "main/sub/container.json"),
            {"in the way": ["main/CLAUDE.global.md", "main/CLAUDE.local.md", "main/container.json"]},
        ),
    ],
)
def test_entries_of_groups_that_the_migration_treats_otherwise_are_named(
    tmp_path: Path, names: tuple[str, ...], kinds: dict[str, list[str]]
) -> None:
    made(tmp_path / "groups", *names)
    tree = count(str(tmp_path), "groups")
    assert tree.state == "there"
    assert {kind: sorted(paths) for kind, paths in tree.samples.items()} == kinds
    assert tree.counts == {kind: len(paths) for kind, paths in kinds.items()}


@pytest.mark.parametrize(
    ("tree", "path", "in_the_way"),
    [
        ("data", "sessions", True),
        ("data", "sessions/main", True),
        ("data", "sessions/main/.claude", True),
        ("data", "sessions/main/.claude/projects", True),
        ("data", "sessions/main/.claude/projects/-workspace-group", True),
        ("data", "sessions/main/.claude/projects/-workspace-group/x", False),
        ("data", "sessions/main/.claude/skills", False),
        ("data", "sessions/main/telegram", False),
        ("data", "other", False),
        ("store", "auth", True),
        ("store", "auth/x", False),
        ("store", "messages.db", False),
    ],
)
def test_link_is_in_the_way_where_the_audit_follows_none(
    tmp_path: Path, tree: str, path: str, in_the_way: bool
) -> None:
    made(tmp_path / tree, f"{path} -> elsewhere")
    samples = count(str(tmp_path), tree).samples
    assert samples == {"link": [path], **({"in the way": [path]} if in_the_way else {})}


def test_only_groups_have_entries_that_are_skipped_by_name(tmp_path: Path) -> None:
    made(tmp_path / "data", "a/b/.git/x", "a/b/CLAUDE.md", "a/CLAUDE.local.md", "a/b/logs/x")
    assert count(str(tmp_path), "data").counts == {}


def test_bytes_are_those_of_files_and_entries_are_all_below_the_tree(tmp_path: Path) -> None:
    made(tmp_path / "store", "auth/a", "auth/b", "messages.db", "link -> auth")
    os.mkfifo(tmp_path / "store/pipe")
    tree = count(str(tmp_path), "store")
    assert (tree.bytes, tree.entries) == (3, 6)
    assert tree.samples == {"link": ["link"], "special": ["pipe"]}


def test_few_of_many_entries_are_named(tmp_path: Path) -> None:
    made(tmp_path / "groups", *(f"main/\x1b{number} -> x" for number in range(SAMPLES + 2)))
    tree = count(str(tmp_path), "groups")
    assert tree.counts == {"link": SAMPLES + 2}
    assert len(tree.samples["link"]) == SAMPLES
    assert all(path.startswith("main/\\x1b") for path in tree.samples["link"])


@pytest.mark.parametrize(("kind", "state"), [("link", "link"), ("file", "no directory"), ("nothing", "absent")])
def test_tree_that_is_no_directory_has_no_numbers(tmp_path: Path, kind: str, state: TreeState) -> None:
    if kind == "link":
        (tmp_path / "groups").symlink_to("/etc")
    elif kind == "file":
        (tmp_path / "groups").write_text("")
    nothing = Tree(state, bytes=0, entries=0, counts={}, samples={})
    assert count(str(tmp_path), "groups") == nothing
    assert set(counts(str(tmp_path))) == {"store", "groups", "data"} and counts(str(tmp_path))["groups"] == nothing
