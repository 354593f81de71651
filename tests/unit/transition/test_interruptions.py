"""The interruptions of the end-to-end tests cover each step of a migration."""

from __future__ import annotations

from typing import Any

import pytest

from files.pods.transition.documents import Run
from tasks.model.migration.steps import steps
from tests.e2e.interruptions import AGAIN, STEPS, has_begun
from tests.unit.v1.v1_states import INSTALL, host


def test_interruptions_cover_each_step_in_order() -> None:
    ids = [step.id.value for part in ("staging", "switching") for step in steps(part, host(), INSTALL, Run([], ""))]
    assert list(STEPS) == [identity + AGAIN * (identity in ids[:at]) for at, identity in enumerate(ids)]


@pytest.mark.parametrize(
    ("ids", "first", "again"), [([], False, False), (["db"], True, False), (["db", "copy", "db"], True, True)]
)
def test_step_that_runs_twice_begins_twice(ids: list[str], first: bool, again: bool) -> None:
    noted: list[dict[str, Any]] = [{"id": identity} for identity in ids]
    assert has_begun(noted, "db") is first and has_begun(noted, f"db{AGAIN}") is again
