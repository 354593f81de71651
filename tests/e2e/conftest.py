"""One lab for all scenarios: it starts once and stops at the end, however the run ends."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e import incident
from tests.e2e.fleet import FINISHED, Fleet
from tests.e2e.sample import not_in_sample, sample_line
from tests.lab.lab import Lab
from tests.lab.requirements import unsupported_reason

LAB_NAME = "NANOCLAW_PODS_LAB_NAME"
"""Environment variable: the name of a lab to use as it is and to leave running, for work on single scenarios."""


SCENARIO = 5400
"""Seconds that a scenario may take; the first one starts the lab as well."""


def pytest_report_header() -> str:
    return sample_line()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(SCENARIO))
    if left_out := not_in_sample(items):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab of this test run, with fresh disks."""
    reason = unsupported_reason()
    if reason:
        pytest.skip(f"no lab: {reason}")
    name = os.environ.get(LAB_NAME)
    with Lab(name or "test").running(fresh=name is None) as running:
        yield running


@pytest.fixture(scope="session")
def incident_fleet(lab: Lab) -> Fleet:
    """The fleet before its first run: one host as in the incident, the others bare of NanoClaw."""
    fleet = Fleet.of(lab)
    if not incident.is_staged(fleet):
        incident.stage(fleet)
    return fleet


@pytest.fixture
def fleet(incident_fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """The fleet with the settings of the lab, fully deployed.

    A scenario that fails or changes the settings makes the next one deploy again first.
    """
    fleet = Fleet.of(incident_fleet.lab)
    if not request.config.stash.get(FINISHED, False):
        fleet.deploy()
    request.config.stash[FINISHED] = False
    failed_before = request.session.testsfailed
    yield fleet
    own_settings = fleet.data == Fleet.of(incident_fleet.lab).data
    request.config.stash[FINISHED] = own_settings and request.session.testsfailed == failed_before
