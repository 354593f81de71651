"""Reasons of the source: codes that checks refuse for, with what refuses for them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MODEL = PROJECT / "tasks" / "model"

OF_HOST_DATA = [
    *(path for path in sorted((MODEL / "fleet").glob("*.py")) if path.stem != "example_addresses"),
    MODEL / "access" / "choose_strategy.py",
    MODEL / "text.py",
]
OF_MACHINES = sorted((MODEL / "host").glob("*.py"))
OF_RUNS = [MODEL / "fleet" / "example_addresses.py", *sorted((PROJECT / "tasks").glob("*.py"))]

REFUSING = {
    **{"SettingProblem": 1, "Problem": 3, "RefusedError": 2, "WrongValueError": 0},
    **{"Refusal": 0, "_refused": 1, "_wrong_v1": 0, "_text": 0, "_accepts": 0, "_list": 0, "_mapping": 0},
}
"""Functions that take a reason, and which of their arguments it is."""


def reason_sites(paths: Iterable[Path]) -> dict[str, set[tuple[str, str]]]:
    """Every reason in some files, and the functions or definitions that refuse for it."""
    sites: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in paths:
        for top in ast.parse(path.read_text(encoding="utf-8")).body:
            for place in top.body if isinstance(top, ast.ClassDef) else [top]:
                name = getattr(place, "name", ast.dump(place))
                for reason in _reasons(place):
                    sites[reason].add((path.name, name))
    return dict(sites)


def _reasons(place: ast.AST) -> Iterator[str]:
    """The reasons that a definition hands to a function of REFUSING, or assigns to a name for one."""
    for node in ast.walk(place):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            position = REFUSING.get(called)
            values = node.args[position : position + 1] if position is not None else []
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            names = getattr(node.targets[0], "elts", [])
            pairs = zip(names, node.value.elts, strict=False)
            values = [value for name, value in pairs if getattr(name, "id", "") == "reason"]
        elif isinstance(node, ast.Assign):
            values = [node.value] if getattr(node.targets[0], "id", "") == "code" else []
        for value in values:
            constants = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            yield from (
                each.value for each in constants if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )
