"""Root creates and chowns logs in a directory that the host user writes in, and follows no link of that user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from files.pods.service.protocol import LogStep, MakeLogsRequest
from tests.programs import request_argv
from tests.unit.trees.trees import A, needs_root

NAMES = ("nanoclaw.log", "nanoclaw.error.log")


def make(root: Path, *steps: LogStep, owner: int | None = A) -> subprocess.CompletedProcess[str]:
    ids = (owner, owner) if owner is not None else None
    request = MakeLogsRequest(str(root), [(what, f"{root}/{path}") for what, path in steps], ids)
    return subprocess.run(request_argv(request), capture_output=True, text=True, timeout=60)


ALL: tuple[LogStep, ...] = (("directory", "logs"), *(("file", f"logs/{name}") for name in NAMES))
pytestmark = needs_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    os.chown(tmp_path / "root", A, A)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nanoclaw.log").write_text("root's\n")
    return tmp_path / "root"


@pytest.mark.parametrize("owner", [A, None], ids=["the host user's", "the owner of the server"])
def test_logs_are_created_once(root: Path, owner: int | None) -> None:
    for _ in range(2):
        assert make(root, *ALL, owner=owner).returncode == 0
        (root / "logs/nanoclaw.log").write_text("kept\n")
    paths = [root / "logs", *(root / "logs" / name for name in NAMES)]
    assert [oct(place.stat().st_mode & 0o7777) for place in paths] == ["0o755", "0o644", "0o644"]
    assert {(place.stat().st_uid, place.stat().st_gid) for place in paths} == {(owner or 0, owner or 0)}
    assert (root / "logs/nanoclaw.log").read_text() == "kept\n"


def test_logs_of_root_are_chowned(root: Path) -> None:
    assert make(root, *ALL, owner=None).returncode == 0
    assert make(root, ("owner", "logs"), ("owner", "logs/nanoclaw.log")).returncode == 0
    assert [(root / "logs" / name).stat().st_uid for name in NAMES] == [A, 0]
    assert (root / "logs").stat().st_uid == A


@pytest.mark.parametrize("steps", [ALL, ALL[1:], (("owner", "logs"),), (("owner", "logs/nanoclaw.log"),)])
def test_link_in_place_of_the_directory_is_not_followed(root: Path, steps: tuple[LogStep, ...]) -> None:
    """install -d chowned the target of the link: the host user would have owned /etc."""
    (root / "logs").symlink_to(root.parent / "etc")
    assert make(root, *steps).returncode != 0
    assert [place.name for place in (root.parent / "etc").iterdir()] == ["nanoclaw.log"]
    assert {place.stat().st_uid for place in (root.parent / "etc", root.parent / "etc/nanoclaw.log")} == {0}


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_log_that_became_a_link_is_not_chowned(root: Path, plant: object) -> None:
    (root / "logs").mkdir()
    assert callable(plant)
    plant(root.parent / "etc/nanoclaw.log", root / "logs/nanoclaw.log")
    steps: tuple[LogStep, ...] = (("file", "logs/nanoclaw.log"), ("owner", "logs/nanoclaw.log"))
    for step in steps:
        done = make(root, step)
        assert done.returncode != 0 and "move it away" in done.stderr
    assert (root.parent / "etc/nanoclaw.log").stat().st_uid == 0
