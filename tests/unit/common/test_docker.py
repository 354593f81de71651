"""The docker command: its exit status, its output, and its deadline."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from files.pods.common.docker import docker_output
from tasks.bundle import PODS


def test_only_one_module_names_the_docker_command() -> None:
    users = [path for path in PODS.rglob("*.py") if re.search(r"""\[\s*"docker",""", path.read_text())]
    assert users == [PODS / "common/docker.py"]


def program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_docker_output_is_status_and_all_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", 'cat; echo "$*"; echo why >&2; exit 125', monkeypatch)
    assert docker_output(["run", "x"], 20) == (125, "run x\nwhy\n")


def test_late_or_missing_docker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "docker", "exec sleep 60", monkeypatch)
    assert docker_output(["info"], 1) == (None, "docker info: no end within 1 s")
    monkeypatch.setenv("PATH", "/nonexistent")
    status, text = docker_output(["info"], 1)
    assert status == 127 and "docker" in text
