"""Programs follow no link in a directory that they opened: who may write there could lead root anywhere."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.unit.project.test_conformance import PROGRAMS, calls, named, tree

ASKS = {"os.stat", "os.chown", "os.utime", "os.access"}
BY_NAME_ALONE = {"O_NOFOLLOW", "O_PATH"}
"""Flags of open(2) with which a link at the path itself is not followed. Who opens with O_PATH judges what that is."""


@cache
def flags() -> frozenset[str]:
    """Names for flags of open(2) that have one of these, wherever programs define them."""
    values: dict[str, str] = {}
    for path in PROGRAMS:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                values[node.targets[0].id] = values.get(node.targets[0].id, "") + ast.unparse(node.value)
    safe: set[str] = set(BY_NAME_ALONE)
    while more := {name for name, value in values.items() if name not in safe and any(one in value for one in safe)}:
        safe |= more
    return frozenset(safe)


def follows(call: ast.Call) -> bool:
    """Whether a call may follow a link at its path."""
    name = ast.unparse(call.func)
    arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if arguments.get("follow_symlinks", "False") != "False":
        return True
    if "dir_fd" not in arguments or ast.unparse(call.args[0]) == "'.'":
        return False
    if name == "os.open":
        return not any(flag in flags() for flag in re.findall(r"\w+", ast.unparse(call.args[1])))
    return name in ASKS and "follow_symlinks" not in arguments


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_no_link_is_followed_below_an_open_directory(path: Path) -> None:
    """Write `follow_symlinks=False`, and os.O_NOFOLLOW in the flags of os.open."""
    assert not [f"line {call.lineno}: {ast.unparse(call)}" for call in calls(tree(path)) if follows(call)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("os.stat(name, dir_fd=fd, follow_symlinks=False)", False),
        ("os.stat(name, dir_fd=fd)", True),
        ("os.stat(name, follow_symlinks=True)", True),
        ("entry.is_dir(follow_symlinks=True)", True),
        ("os.chown(name, 1, 1, dir_fd=fd)", True),
        ("os.open(name, os.O_RDONLY, dir_fd=fd)", True),
        ("os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)", False),
        ("os.open(name, OPEN_DIRECTORY, dir_fd=fd)", False),
        ("os.open('.', os.O_RDONLY, dir_fd=fd)", False),
        ("os.stat(path)", False),
    ],
)
def test_rule_tells_who_follows_links(source: str, expected: bool) -> None:
    (call,) = calls(ast.parse(source))
    assert follows(call) is expected


def test_rule_covers_the_walks_of_programs() -> None:
    below = [
        call for path in PROGRAMS for call in calls(tree(path)) if "dir_fd" in {word.arg for word in call.keywords}
    ]
    assert len(below) > 40
