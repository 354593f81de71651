"""NanoClaw v1 hosts become v2 hosts, in waves: nothing is lost, a failed gate puts v1 back, and so does a setting."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tasks.model.migration.places import marker
from tasks.model.migration.steps import ACCOUNT
from tests.e2e.fleet import PROJECT, Fleet, Run
from tests.e2e.interruptions import INTERRUPTIONS, Interruption, interrupt, journal
from tests.e2e.test_8_matrix import SEED
from tests.e2e.v1_hosts import GATE, OLD, install_v1
from tests.lab import v1_standin


def tree_of(fleet: Fleet, name: str) -> str:
    """A digest of v1's tree with all owners, modes and times; it goes on to write its log until it is stopped."""
    listed = (
        f"cd {OLD[name].root} && find . -path ./logs -prune -o -printf '%p %y %m %U %G %s %T@ %l\\n' "
        "-type f -exec sha256sum {} + | sort | sha256sum"
    )
    return fleet.lab[name].succeed(listed, timeout=300)


def v1_answers(fleet: Fleet, name: str, text: str) -> bool:
    return v1_standin.ask(fleet.lab[name], OLD[name].root, text) == f"echo: {text}"


def accounts(found: dict[str, Any]) -> dict[str, Any]:
    """What the account of a migration came to."""
    said: dict[str, Any] = json.loads(next(step["said"] for step in found["steps"] if step["name"] == ACCOUNT))
    return said


def left_over() -> list[str]:
    return (PROJECT / "migration-left.txt").read_text(encoding="utf-8").split()


def which_conversation(fleet: Fleet, name: str, folder: str) -> str:
    """What the agent of a migrated group goes on with: v1's conversation, and how long it is."""
    plan = fleet.host(name)
    words = f"node dist/chat.js --migrated --folder {folder} --timeout 200 'which conversation'"
    return fleet.lab[name].succeed(f"cd {plan.root} && {words}", timeout=260).strip()


@pytest.fixture(scope="module")
def old_fleet(incident_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Hosts with fresh disks on which a v1 runs and answers, each installed in its own way; empty exports."""
    fleet = Fleet.of(incident_fleet.lab)
    folder = tmp_path_factory.mktemp("v1")
    for name in fleet.hosts:
        fleet.lab.reset(name)
    fleet.lab["server"].succeed("cd /srv/pods && for export in *; do find $export -mindepth 1 -delete; done")
    for name in fleet.hosts:
        install_v1(fleet, name, folder)
        assert v1_answers(fleet, name, "before")
        fleet.data[name] |= {"nanoclaw_v1_dir": OLD[name].root, "nanoclaw_v1_gate": GATE, "nanoclaw_v1_batch": 1}
    fleet.data["host-1500"]["nanoclaw_v1_dir"] = "auto"
    yield fleet


def test_a_wave_ends_at_the_first_failed_gate(old_fleet: Fleet) -> None:
    """The first host serves with v2, the second has its v1 back, the third is untouched; the list names both."""
    fleet = old_fleet
    trees = {name: tree_of(fleet, name) for name in fleet.hosts}
    fleet.data["host-1000"]["nanoclaw_v1_gate"] = ["false"]
    run: Run = fleet.run("-y", timeout=1800)
    fleet.data["host-1000"]["nanoclaw_v1_gate"] = GATE
    assert run.failed == {"host-1000", "host-1500"}, run.log
    assert "v1 is back as it was" in run.log and "host-1000 of an earlier wave failed" in run.log
    assert left_over() == ["host-1000", "host-1500"]
    assert fleet.ask("host-root", "with v2") == "echo: with v2"
    assert v1_answers(fleet, "host-1000", "after the failure") and v1_answers(fleet, "host-1500", "untouched")
    assert tree_of(fleet, "host-root") == trees["host-root"]
    assert journal(fleet, "host-1000")["state"] == "rolled back"


def test_a_second_run_migrates_the_rest(old_fleet: Fleet) -> None:
    fleet = old_fleet
    fleet.deploy()
    assert left_over() == []
    for name in fleet.hosts:
        found = journal(fleet, name)
        assert found["state"] == "finished"
        assert accounts(found)["lost"] == []
        assert fleet.lab[name].run(f"pgrep -f {OLD[name].root}/dist/index.js", check=False).returncode == 1
        assert which_conversation(fleet, name, "main") == "echo: which conversation main-1 1"
    assert fleet.deploy().changed == set()


def test_messages_flow_after_a_reboot_and_v1_stays_down(old_fleet: Fleet) -> None:
    host = old_fleet.lab["host-1000"]
    host.reboot()
    assert old_fleet.ask("host-1000", "after the reboot") == "echo: after the reboot"
    assert host.run(f"pgrep -f {OLD['host-1000'].root}/dist/index.js", check=False).returncode == 1


def test_a_setting_puts_v1_back_and_an_accident_on_the_way_to_v2_loses_nothing(old_fleet: Fleet) -> None:
    """Back to v1, which is as it was; then a run with an accident: a v1 or a v2 serves; the next run ends in v2."""
    seed = int(os.environ.get(SEED, time.time() // 86400))
    go_back_and_forth(old_fleet, "host-1000", random.Random(seed).choice(INTERRUPTIONS))


def go_back_and_forth(fleet: Fleet, name: str, accident: Interruption) -> None:
    """One host back to v1, and to v2 with an accident on the way."""
    fleet.data[name]["nanoclaw_v1_rollback"] = True
    fleet.deploy("--limit", name)
    assert v1_answers(fleet, name, f"before {accident}"), accident
    assert fleet.deploy("--limit", name).changed == set(), accident
    fleet.data[name]["nanoclaw_v1_rollback"] = False
    before = tree_of(fleet, name)
    assert interrupt(fleet, name, accident), accident
    decided = fleet.lab[name].run(f"test -e {marker(fleet.host(name))}", check=False).returncode == 0
    assert decided == (journal(fleet, name)["state"] == "finished"), accident
    if decided:
        assert fleet.ask(name, f"after {accident}") == f"echo: after {accident}"
    else:
        assert v1_answers(fleet, name, f"after {accident}"), accident
        before = tree_of(fleet, name)
    fleet.deploy("--limit", name)
    found = journal(fleet, name)
    assert found["state"] == "finished" and accounts(found)["lost"] == [], accident
    assert tree_of(fleet, name) == before, accident
    assert which_conversation(fleet, name, "main").startswith("echo: which conversation main-1 "), accident
