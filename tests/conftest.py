"""In CI nothing is skipped: a test that cannot run there fails, and says what is missing."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

LAB = "NANOCLAW_PODS_LAB"
"""Environment variable; with the value `required`, as in CI, every skip is a failure."""

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Report) -> Report:
    """The report, failed where it was skipped and CI asks. Left alone: what is expected to fail."""
    if report.skipped and os.environ.get(LAB) == "required" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {LAB}=required, and this cannot run here: {reason}"
    return report
