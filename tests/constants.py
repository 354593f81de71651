"""Limits, deadlines, modes, and names that others read, by file: what tests/fixtures/constants.yaml has a second time.

No test can wait an hour, or fill 256 MiB, to see that a limit is the one that was meant; and a test that imports a path
agrees with whatever stands there. The table shows a change of one as what it is. `make docs` writes the
table anew: read its diff, and commit it with the change.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
TABLE = PROJECT / "tests/fixtures/constants.yaml"
FILES = sorted([*(PROJECT / "files/pods").rglob("*.py"), *(PROJECT / "tasks").glob("*.py")])
SMALL = 10
"""Smaller numbers that stand in a call without a name are indices and counts of parts, which tests see."""
LONGEST = 160
"""Characters; what is longer is a program or a query, which tests run."""


def constants(source: str) -> dict[str, str]:
    """The constants of a source by name, and the numbers of its calls by keyword; `argument` where there is none."""
    listed: dict[str, list[str]] = {}
    for name, value in [*_assigned(ast.parse(source)), *_stated(ast.parse(source))]:
        text = " ".join((ast.get_source_segment(source, value) or "").split())
        if len(text) <= LONGEST:
            listed.setdefault(name, []).append(text)
    return {name: "; ".join(sorted(values)) for name, values in sorted(listed.items())}


def _assigned(body: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """What names in capitals stand for, in a module and its classes."""
    for node in body.body:
        if isinstance(node, ast.ClassDef):
            yield from _assigned(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target).strip("()")
            if name.isupper() and any(isinstance(part, ast.Constant) for part in ast.walk(node.value)):
                yield name, node.value


def _stated(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The numbers in calls, and those that a function takes where a call states none."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            yield from ((word.arg, word.value) for word in node.keywords if word.arg and _is_number(word.value))
            yield from (("argument", value) for value in node.args if _is_number(value) and not _is_small(value))
        elif isinstance(node, ast.FunctionDef):
            given = [*node.args.args[len(node.args.args) - len(node.args.defaults) :], *node.args.kwonlyargs]
            values = [*node.args.defaults, *node.args.kw_defaults]
            yield from (
                (name.arg, value) for name, value in zip(given, values, strict=True) if value and _is_number(value)
            )


def _is_number(value: ast.expr) -> bool:
    """Whether an expression is a number, or something times one: 64 << 20, 2 * PATIENCE. True and False are none."""
    if isinstance(value, ast.BinOp):
        return _is_number(value.left) or _is_number(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def _is_small(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, int) and value.value < SMALL


@cache
def written() -> dict[str, dict[str, str]]:
    """The constants that the sources have, by file."""
    listed = {str(path.relative_to(PROJECT)): constants(path.read_text(encoding="utf-8")) for path in FILES}
    return {name: values for name, values in listed.items() if values}


@cache
def table() -> dict[str, dict[str, str]]:
    """The constants that the table has."""
    known: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return known


if __name__ == "__main__":
    head = "# Written by `make docs`; tests/constants.py says what for.\n"
    TABLE.write_text(head + yaml.safe_dump(written(), default_flow_style=False, width=1000), encoding="utf-8")
