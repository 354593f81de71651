"""The output in the README is what a run prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fake.deploy import deploy, fleet

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
DRY, REAL = (code for code in re.findall(r"```\w*\n(.*?)```", README, re.DOTALL) if "[@fake/" in code)


@pytest.mark.parametrize(
    ("shown", "state", "arguments"), [(DRY, "bare", ("--dry", "--diff")), (REAL, "underway", ("-y",))]
)
def test_readme_shows_what_a_run_prints(tmp_path: Path, shown: str, state: str, arguments: tuple[str, ...]) -> None:
    run = deploy(tmp_path, fleet(oslo={}), state, *arguments)
    printed = {line.strip() for line in run.log.splitlines()}
    assert [line for line in shown.splitlines() if line.strip() not in printed] == []
