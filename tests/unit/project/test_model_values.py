"""The model consists of immutable values, as do requests, replies and what tasks hand on."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

import tasks.model
from tests.unit.project.test_conformance import CAPABILITIES, PROGRAMS, named, tree

WALKS = {"tasks.model.access.session_lifecycle._Life"}  # collects the answers of one life, and is not handed out
CLASSES = sorted(
    {
        dataclass_type
        for module in pkgutil.walk_packages(tasks.model.__path__, "tasks.model.")
        for _name, dataclass_type in inspect.getmembers(import_module(module.name), inspect.isclass)
        if is_dataclass(dataclass_type)
        and dataclass_type.__module__.startswith("tasks.model.")
        and f"{dataclass_type.__module__}.{dataclass_type.__qualname__}" not in WALKS
    },
    key=lambda dataclass_type: (dataclass_type.__module__, dataclass_type.__qualname__),
)


@pytest.mark.parametrize(
    "dataclass_type", CLASSES, ids=lambda dataclass_type: f"{dataclass_type.__module__}.{dataclass_type.__qualname__}"
)
def test_model_dataclass_is_frozen(dataclass_type: type) -> None:
    assert dataclass_type.__dataclass_params__.frozen  # type: ignore[attr-defined]


COLLECTS = {"MachineStates", "Observations", "RunContext"}
"""What collects while a run or a probe lasts."""


def thawed(module: ast.Module) -> list[str]:
    """The data classes of a module that can be changed once they are made."""
    decorated = [
        (node.name, ast.unparse(mark))
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        for mark in node.decorator_list
    ]
    return [name for name, mark in decorated if mark.startswith("dataclass") and "frozen=True" not in mark]


@pytest.mark.parametrize("path", [*PROGRAMS, *CAPABILITIES], ids=named)
def test_data_class_of_a_program_or_a_task_is_frozen(path: Path) -> None:
    """Write `@dataclass(frozen=True)`; or name the class in COLLECTS."""
    assert not set(thawed(tree(path))) - COLLECTS


def test_rule_finds_data_classes_that_can_be_changed() -> None:
    assert thawed(ast.parse("@dataclass\nclass A: pass\n@dataclass(eq=False)\nclass B: pass")) == ["A", "B"]
    assert thawed(ast.parse("@dataclass(frozen=True)\nclass A: pass\nclass B: pass")) == []
