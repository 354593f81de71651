"""The model is made of values: nothing that has been judged changes afterwards."""

from __future__ import annotations

import inspect
import pkgutil
from dataclasses import is_dataclass
from importlib import import_module

import pytest

import tasks.model

WALKS = {"tasks.model.access.session_lifecycle._Life"}  # collects the answers of one life, and is not handed out
CLASSES = sorted(
    {
        found
        for module in pkgutil.walk_packages(tasks.model.__path__, "tasks.model.")
        for _name, found in inspect.getmembers(import_module(module.name), inspect.isclass)
        if is_dataclass(found)
        and found.__module__.startswith("tasks.model.")
        and f"{found.__module__}.{found.__qualname__}" not in WALKS
    },
    key=lambda found: (found.__module__, found.__qualname__),
)


@pytest.mark.parametrize("found", CLASSES, ids=lambda found: f"{found.__module__}.{found.__qualname__}")
def test_a_dataclass_of_the_model_is_frozen(found: type) -> None:
    assert found.__dataclass_params__.frozen  # type: ignore[attr-defined]
