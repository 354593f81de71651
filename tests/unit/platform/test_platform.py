"""Distributions: which are supported, and where their names stand."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tasks.model.platform.platform import DEBIAN_13, Platform, platform_of

PROJECT = Path(__file__).resolve().parents[3]
TABLE = PROJECT / "tasks/model/platform/platform.py"
AMBIGUOUS = {"git", "rsync", "logrotate", "npm", "nftables"}
"""Names of packages that are programs, too."""


def names(platform: Platform) -> Iterator[str]:
    """Every name in a table: packages, units and paths."""
    for field in fields(platform):
        value = getattr(platform, field.name)
        yield from [value] if isinstance(value, str) else value.values()


def texts(path: Path) -> Iterator[str]:
    """The texts of a file without its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            yield node.value


@pytest.mark.parametrize("path", sorted(set((PROJECT / "tasks").rglob("*.py")) - {TABLE}), ids=lambda path: path.stem)
def test_nobody_else_names_a_package_or_a_unit_of_a_distribution(path: Path) -> None:
    named = {part.strip(".,:;") for text in texts(path) for part in text.split()}
    assert named & (set(names(DEBIAN_13)) - AMBIGUOUS) == set()


@pytest.mark.parametrize(
    ("distribution", "version", "platform"),
    [
        ("debian", "13", DEBIAN_13),
        ("debian", "12", DEBIAN_13),
        ("debian", "", DEBIAN_13),
        ("debian", "11", None),
        ("ubuntu", "22.04", DEBIAN_13),
        ("ubuntu", "20.04", None),
        ("ubuntu", "", None),
        ("fedora", "43", None),
        ("", "", None),
    ],
)
def test_a_machine_has_the_platform_of_its_release(distribution: str, version: str, platform: Platform | None) -> None:
    assert platform_of(distribution, version) is platform
