"""NanoClaw v1 hosts become v2 hosts, in waves: nothing is lost, a failed gate puts v1 back, and so does a setting."""

from __future__ import annotations

import json
import os
import random
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks.model.migration.places import directory, marker
from tasks.model.migration.steps import ACCOUNT
from tests.e2e.fleet import PROJECT, Fleet, Run
from tests.e2e.interruptions import INTERRUPTIONS, Interruption, interrupt, journal
from tests.e2e.test_8_matrix import SEED
from tests.e2e.v1_hosts import GATE, OLD, install_v1
from tests.lab import v1_standin


def v1_answers(fleet: Fleet, name: str, text: str) -> bool:
    return v1_standin.ask(fleet.lab[name], OLD[name].root, text) == f"echo: {text}"


def accounts(found: dict[str, Any]) -> dict[str, Any]:
    """What the account of a migration came to."""
    said: dict[str, Any] = json.loads(next(step["said"] for step in found["steps"] if step["name"] == ACCOUNT))
    return said


def v1_is_as_it_was(fleet: Fleet, name: str) -> bool:
    """Whether v1's tree is, to the byte, owner, mode and time, what it was when it had been stopped and accounted for.

    The same program says it again, as it was called then; of v2, which has gone on, it has other things to say by now.
    """
    work = json.loads(fleet.lab[name].succeed(f"cat {directory(fleet.host(name))}/work.json"))
    argv = next(step["argv"] for step in work["steps"] if step["name"] == ACCOUNT)
    again = fleet.lab[name].run(shlex.join(argv), check=False, timeout=600).stdout
    return bool(json.loads(again.splitlines()[-1])["digest"] == accounts(journal(fleet, name))["digest"])


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
    fleet.lab.reset(*fleet.hosts)
    fleet.lab["server"].succeed("cd /srv/pods && for export in *; do find $export -mindepth 1 -delete; done")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: install_v1(fleet, name, folder), fleet.hosts))
        assert all(pool.map(lambda name: v1_answers(fleet, name, "before"), fleet.hosts))
    for name in fleet.hosts:
        fleet.data[name] |= {"nanoclaw_v1_dir": OLD[name].root, "nanoclaw_v1_gate": GATE, "nanoclaw_v1_batch": 1}
    fleet.data["host-1500"]["nanoclaw_v1_dir"] = "auto"
    yield fleet


def test_a_wave_ends_at_the_first_failed_gate(old_fleet: Fleet) -> None:
    """The first host serves with v2, the second has its v1 back, the third is untouched; the list names both."""
    fleet = old_fleet
    fleet.data["host-1000"]["nanoclaw_v1_gate"] = ["false"]
    run: Run = fleet.run("-y", timeout=1800)
    fleet.data["host-1000"]["nanoclaw_v1_gate"] = GATE
    assert run.failed == {"host-1000", "host-1500"}, run.log
    assert "v1 is back as it was" in run.log and "host-1000 of an earlier wave failed" in run.log
    assert left_over() == ["host-1000", "host-1500"]
    assert fleet.ask("host-root", "with v2") == "echo: with v2"
    assert v1_answers(fleet, "host-1000", "after the failure") and v1_answers(fleet, "host-1500", "untouched")
    assert v1_is_as_it_was(fleet, "host-root")
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
        assert which_conversation(fleet, name, "main").startswith("echo: which conversation main-1 ")
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
    assert interrupt(fleet, name, accident), accident
    decided = fleet.lab[name].run(f"test -e {marker(fleet.host(name))}", check=False).returncode == 0
    assert decided == (journal(fleet, name)["state"] == "finished"), accident
    if decided:
        assert fleet.ask(name, f"after {accident}") == f"echo: after {accident}"
    else:
        assert v1_answers(fleet, name, f"after {accident}"), accident
    fleet.deploy("--limit", name)
    found = journal(fleet, name)
    assert found["state"] == "finished" and accounts(found)["lost"] == [], accident
    assert v1_is_as_it_was(fleet, name), accident
    assert which_conversation(fleet, name, "main").startswith("echo: which conversation main-1 "), accident
