"""A test that is skipped on a laptop fails in CI, with the program that is missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.fleet import PROJECT

TESTS = """
import pytest

@pytest.mark.skipif(True, reason="needs gpg")
def test_marked(): pass

def test_inside():
    pytest.skip("needs Node")

@pytest.fixture
def net():
    pytest.skip("needs root and nft")

def test_fixture(net): pass

@pytest.mark.xfail(reason="known")
def test_expected(): assert False

def test_good(): pass
"""
MODULE = 'import pytest\npytest.skip("needs cc", allow_module_level=True)\n'
LEFT_OUT = "def pytest_collection_modifyitems(items): del items[1:]\n"
REASONS = ("gpg", "Node", "root and nft", "cc")

REAL = {
    "tests/unit/machine/test_supply.py::test_fingerprint_equals_the_one_gpg_prints": "gpg",
    "tests/unit/lab/test_kernel.py::test_a_root_file_system_knows_the_modules_of_its_kernel": "modprobe",
    "tests/unit/nfs/test_mount_unit.py::test_names_are_those_of_systemd_escape": "systemd-escape",
    "tests/unit/service/test_unit_files.py::test_systemd_accepts_every_unit": "systemd-analyze",
    "tests/unit/nfs/test_container_firewall.py::test_fact_reads_nft_rules_of_a_real_kernel": "nf_tables",
    "tests/unit/versions/test_version_programs.py::test_a_marker_of_another_commit_is_set_again": "node",
}
"""Tests, and what they say is missing where no program is on the path."""


def run(folder: Path, *tests: str, **environment: str) -> tuple[int, str, str]:
    """The exit status of pytest, its report, and its last line."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(tests or (str(folder),))]
    env = {name: value for name, value in os.environ.items() if name != "NANOCLAW_PODS_LAB"} | environment
    done = subprocess.run(argv, cwd=PROJECT if tests else folder, env=env, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stdout.splitlines()[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text((PROJECT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text(MODULE)
    return tmp_path


def test_skip_on_a_laptop_is_a_skip(folder: Path) -> None:
    status, _report, last = run(folder)
    assert (status, re.findall(r"\d+ \w+", last)) == (0, ["1 passed", "4 skipped", "1 xfailed"])


def test_skip_in_ci_fails_and_names_what_is_missing(folder: Path) -> None:
    (folder / "test_module.py").unlink()
    status, report, last = run(folder, NANOCLAW_PODS_LAB="required")
    assert (status, re.findall(r"\d+ \w+", last)) == (1, ["1 failed", "1 passed", "1 xfailed", "2 errors"])
    assert [reason for reason in REASONS[:3] if f"cannot run here: Skipped: needs {reason}" not in report] == []


def test_skipped_file_in_ci_fails(folder: Path) -> None:
    (folder / "test_module.py").write_text(MODULE)
    (folder / "test_some.py").unlink()
    status, report, _last = run(folder, NANOCLAW_PODS_LAB="required")
    assert status == 2 and "cannot run here: Skipped: needs cc" in report


def test_deselected_test_in_ci_is_no_skip(folder: Path) -> None:
    (folder / "test_module.py").unlink()
    (folder / "conftest.py").write_text((folder / "conftest.py").read_text() + LEFT_OUT)
    (folder / "test_some.py").write_text("def test_good(): pass\n" + TESTS)
    status, _report, last = run(folder, NANOCLAW_PODS_LAB="required")
    assert (status, re.findall(r"\d+ \w+", last)) == (0, ["1 passed"])


def test_every_skip_of_ours_names_what_is_missing(tmp_path: Path) -> None:
    status, report, _last = run(tmp_path, *REAL, NANOCLAW_PODS_LAB="required", PATH=str(tmp_path))
    assert status == 1 and "skipped" not in report.splitlines()[-1]
    reports = [line for line in report.splitlines() if "cannot run here" in line]
    assert [test for test, what in REAL.items() if not any(test in line and what in line for line in reports)] == []
