"""The model consists of immutable values."""

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
