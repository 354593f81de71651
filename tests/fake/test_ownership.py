"""Ownership, the guard and the verification in a whole run: commands, output and failures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fake.deploy import Outcome, deploy, fleet, planned
from tests.fake.kinds import KINDS
from tests.fake.programs.guard import guard_state

CHOWN, SQUASH, SERVER = "@fake/chown", "@fake/squash", "@fake/server"
DATA = fleet(chown=KINDS["chown"], squash=KINDS["squash"])

CHOWN_TREES = "Ownership | Chown sessions and groups to the agent"
GUARD = "Ownership | Guard new sessions"
EARLY_GUARD = "Guard | Guard the sessions before the server changes"
VERIFY = "Verification | Act as the host and as the agent"


def trees(*reports: dict[str, Any]) -> dict[str, Any]:
    return {"trees": [{"path": "/t", "state": "there", "entries": 10, **report} for report in reports]}


def run(
    tmp_path: Path, argument: str, instead: dict[str, Any], machine: str = CHOWN, then: dict[str, Any] | None = None
) -> Outcome:
    return deploy(tmp_path, DATA, "finished", argument, instead={machine: instead}, then={machine: then or {}})


DIFFERENT = {
    "tallies": [
        {"verdict": {"kind": "right"}, "entries": 6},
        {"verdict": {"kind": "chown"}, "entries": 3, "names": ["ag/s/outbound.db", "ag/s", "ag"]},
        {"verdict": {"kind": "foreign", "ids": [33, 33]}, "entries": 1},
    ]
}
RIGHT: dict[str, Any] = {"tallies": [{"verdict": {"kind": "right"}, "entries": 10}]}


def test_different_entries_are_chowned_and_named(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", {"trees.main": trees(DIFFERENT, RIGHT)})
    assert done.exit == 0, done.log
    assert done.changed(CHOWN) == [CHOWN_TREES]
    assert done.commands(CHOWN) == ["trees.main"]
    assert "/t: chown 3 of 10 entries to 1000:1000 (ag/s/outbound.db, ag/s, ag)" in done.log
    assert "/t: left entries alone that belong to 33:33, which NanoClaw does not use: 1" in done.log


def test_dry_run_reports_the_same_and_chowns_nothing(tmp_path: Path) -> None:
    dry = run(tmp_path, "--dry", {"trees.main": trees(DIFFERENT, RIGHT)})
    assert dry.changed(CHOWN) == [CHOWN_TREES]
    assert dry.commands(CHOWN) == []
    assert dry.log.count("/t: chown 3 of 10 entries to 1000:1000") == 1


def test_server_chowns_the_exports_of_its_hosts(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", {"trees.main": trees(DIFFERENT, RIGHT)}, machine=SERVER)
    assert done.commands(SERVER) == ["trees.main"]
    assert done.changed(SQUASH) == done.changed(CHOWN) == []


def test_unmounted_trees_fail_a_real_run_but_no_dry_run(tmp_path: Path) -> None:
    gone = trees({"state": "unmounted", "entries": 0}, {"state": "unmounted", "entries": 0})
    dry = run(tmp_path, "--dry", {"trees.main": gone})
    assert (dry.exit, dry.commands(CHOWN)) == (0, [])
    done = run(tmp_path, "-y", {"trees.main": gone})
    assert done.document["results"]["failed_hosts"] == [CHOWN]
    assert "nothing is mounted at /opt/nanoclaw/data/v2-sessions" in done.log
    assert done.commands(CHOWN) == []


def test_broken_id_mapping_fails_without_a_chown(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "-y",
        {"trees.main": trees({"state": "nobody", "tallies": [{"verdict": {"kind": "chown"}, "entries": 10}]}, RIGHT)},
    )
    assert done.document["results"]["failed_hosts"] == [CHOWN]
    assert "idmapd.conf" in done.log
    assert done.commands(CHOWN) == []


def guard(**change: Any) -> dict[str, Any]:
    absent: dict[str, Any] = {
        "program": None,
        "older": [],
        "unit": None,
        "enabled": False,
        "active": False,
        "needs_reload": False,
    }
    return {**absent, "running": [], "others": [], **change}


def test_guard_is_installed_in_order(tmp_path: Path) -> None:
    done = run(tmp_path, "-y", {"guard.state": guard()}, then=_with_guard(CHOWN))
    assert done.changed(CHOWN) == [EARLY_GUARD]
    *files, reload, enable, restart = done.commands(CHOWN)
    assert files == ["machine.write_file", "machine.write_file"]
    assert (reload.split()[-1], enable.split()[-2], restart.split()[-2]) == ("daemon-reload", "reenable", "restart")


def test_dead_guard_is_restarted_and_nothing_else_changes(tmp_path: Path) -> None:
    right = deploy(tmp_path, DATA, "finished", "-y")
    assert right.commands(CHOWN) == []
    died = {**_with_guard(CHOWN)["guard.state"], "active": False, "running": []}
    done = run(tmp_path, "-y", {"guard.state": died}, then=_with_guard(CHOWN))
    assert done.exit == 0, done.log
    assert [command.split()[1] for command in done.commands(CHOWN)] == ["restart"]


def _with_guard(name: str) -> dict[str, Any]:
    """Return the reply of a host with the desired guard."""
    return {"guard.state": asdict(guard_state(planned(DATA).hosts[name]).finished)}


def test_unneeded_guard_is_removed(tmp_path: Path) -> None:
    left = guard(program="0" * 64, unit="[Unit]\n", enabled=True, active=True, others=["pods-guard-00000000.service"])
    done = run(tmp_path, "-y", {"guard.state": left}, machine=SQUASH, then=_with_guard(SQUASH))
    assert done.changed(SQUASH) == [GUARD]
    removed = " ".join(done.commands(SQUASH))
    for unit in ("pods-guard-00000000.service", "pods-guard-3282970f.service"):
        assert f"disable --now {unit}" in removed and f"rm -f /etc/systemd/system/{unit}" in removed
    assert "rm -f /usr/local/lib/nanoclaw-pods/guard" in removed and removed.endswith("daemon-reload")


def test_failed_probe_fails_its_host_with_the_cause(tmp_path: Path) -> None:
    probe = {"seconds": 1, "missing": ["/pods"], "mounts": {}}
    done = run(tmp_path, "-y", {"probe.main": probe})
    assert done.exit != 0
    assert done.document["results"]["failed_hosts"] == [CHOWN]
    assert "failed | mount missing | nothing is mounted at /pods" in done.log
    assert done.log.count("verified |") == 1


def test_dry_run_sends_no_probe(tmp_path: Path) -> None:
    dry = run(tmp_path, "--dry", {})
    assert "probe.main" not in dry.facts(CHOWN)
    assert VERIFY not in dry.changed(CHOWN)
