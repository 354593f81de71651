"""The role observes a server that it does not manage; `auto` and the settings go by the observation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fake.deploy import Outcome, deploy, fleet

NAS = "@fake/nas"
_DATA: dict[str, Any] = {"pods_server": "10.0.0.99", "pods_export": "/vol/pods", "nanoclaw_user": "root"}
_OBSERVED: dict[str, Any] = {
    "state": "seen",
    "text": "",
    "directory_made": True,
    "chown": None,
    "mount_point": None,
    "left": [],
}


def run(tmp_path: Path, *arguments: str, made: dict[str, Any] | None = None, **settings: Any) -> Outcome:
    observation = {**_OBSERVED, "made": made or {"host": [1000, 1000], "agent": [1000, 1000], "root": [1000, 1000]}}
    return deploy(
        tmp_path,
        fleet(nas={**_DATA, **settings}),
        "finished",
        *arguments,
        instead={NAS: {"nfs.observe_export": observation}},
    )


def test_auto_chooses_by_the_observation_and_logs_it(tmp_path: Path) -> None:
    done = run(tmp_path, "-y")
    assert (
        "observed: what host creates is 1000:1000, what agent creates is 1000:1000, what root creates is 1000:1000"
        in done.log
    )
    assert (
        f"pods_access squash for {NAS}: entries of the host process, of root and of the agent have one uid" in done.log
    )


def test_server_without_root_squash_needs_chown(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", made={"host": [0, 0], "agent": [1000, 1000], "root": [0, 0]})
    assert f"pods_access chown for {NAS}" in done.log


def test_server_that_maps_root_to_nobody_is_refused_with_a_remedy(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", made={"host": "EACCES", "agent": [1000, 1000], "root": "EACCES"})
    assert done.exit != 0
    assert "nothing was changed, because:" in done.log
    assert "(root_squash)" in done.log
    assert "let the server export with all_squash,anonuid=1000,anongid=1000" in done.log


def test_server_that_refuses_everybody_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", made={"host": "EACCES", "agent": "EACCES", "root": "EACCES"})
    assert done.exit != 0
    assert f"{NAS}: pods_server: observed: what host creates is refused (EACCES)" in done.log
    assert "chown /vol/pods to the agent (1000:1000) on the server" in done.log


def test_failed_observation_is_refused(tmp_path: Path) -> None:
    data = fleet(nas=_DATA)
    done = deploy(
        tmp_path,
        data,
        "finished",
        "-y",
        instead={NAS: {"nfs.observe_export": {**_OBSERVED, "state": "EACCES", "made": {}}}},
    )
    assert done.exit != 0
    assert "not observed: EACCES (EACCES): let the server export /vol/pods to this host's address" in done.log


def test_settings_that_contradict_the_observation_are_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", pods_export_options=["no_root_squash"])
    assert "with no_root_squash the server would map the host process to 0:0, but it maps it to 1000:1000" in done.log


@pytest.mark.parametrize("option", ["--dry", "--debug-operations", "--debug-facts"])
def test_read_only_run_says_that_it_does_not_observe(tmp_path: Path, option: str) -> None:
    done = run(tmp_path, option)
    assert f"    {NAS}: a dry run does not observe how the server maps ids\n" in done.log
    assert "observed: what" not in done.log
