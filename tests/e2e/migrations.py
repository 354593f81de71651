"""Scenarios of a migration: CI runs one host of one kind, `make soak` all of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from files.pods.migration.step_ids import StepId
from tasks.model.migration.paths import directory, marker
from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import KINDS, Interruption, interrupt, journal
from tests.e2e.v1_hosts import GATE, install_v1, old_of
from tests.lab import v1_standin
from tests.lab.shell import say


def prepare(fleet: Fleet, names: Iterable[str], folder: Path) -> None:
    """Gives hosts fresh disks and a v1 that has answered, and the settings of a migration, one host a wave."""
    names = list(names)
    fleet.lab.reset(*names)
    for name in names:
        fleet.lab["server"].run(f"find /srv/pods/{name} -mindepth 1 -delete", check=False, timeout=300)
    install_all(fleet, names, folder)


def install_all(fleet: Fleet, names: Iterable[str], folder: Path) -> None:
    """A v1 that has answered on each of these hosts, and the settings of a migration, one host a wave."""
    names = list(names)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: install_v1(fleet, name, folder), names))
        assert all(pool.map(lambda name: v1_answers(fleet, name, "before"), names))
    for name in names:
        fleet.data[name] |= {"nanoclaw_v1_dir": old_of(name).root, "nanoclaw_v1_gate": GATE, "nanoclaw_v1_batch": 1}


def v1_answers(fleet: Fleet, name: str, text: str) -> bool:
    """Whether a host's v1 serves."""
    return v1_standin.ask(fleet.lab[name], old_of(name).root, text) == f"echo: {text}"


def v1_is_down(fleet: Fleet, name: str) -> bool:
    """Whether no process of a host's v1 is there."""
    return fleet.lab[name].run(f"pgrep -f {old_of(name).root}/dist/index.js", check=False).returncode == 1


def account(found: dict[str, Any]) -> dict[str, Any]:
    """What the account of a migration came to."""
    said: dict[str, Any] = json.loads(next(step["said"] for step in found["steps"] if step["id"] == StepId.AUDIT))
    return said


def v1_is_as_it_was(fleet: Fleet, name: str) -> bool:
    """Whether v1's tree is, to the byte, owner, mode and time, what it was when it had been stopped and accounted for.

    The same program says it again, as it was called then; of v2, which has gone on, it has other things to say by now.
    """
    work = json.loads(fleet.lab[name].succeed(f"cat {directory(fleet.host(name))}/work.json"))
    step = next(step for step in work["steps"] if step["id"] == StepId.AUDIT)
    again = fleet.lab[name].run(shlex.join(step["argv"]), input=step["input"], check=False, timeout=600).stdout
    return bool(json.loads(again.splitlines()[-1])["digest"] == account(journal(fleet, name))["digest"])


def left_over(fleet: Fleet) -> list[str]:
    """The hosts that the last run left to migrate."""
    return (fleet.folder / "migration-left.txt").read_text(encoding="utf-8").split()


def which_conversation(fleet: Fleet, name: str, folder: str) -> str:
    """What the agent of a migrated group goes on with: the name of v1's conversation, and how long it is."""
    words = f"node dist/chat.js --migrated --folder {folder} --timeout 200 'which conversation'"
    return fleet.lab[name].succeed(f"cd {fleet.host(name).root} && {words}", timeout=260).strip()


def assert_migrated(fleet: Fleet, name: str) -> None:
    """v2 serves with all that v1 had, v1 is down and as it was."""
    found = journal(fleet, name)
    assert found["state"] == "finished"
    assert account(found)["lost"] == []
    assert which_conversation(fleet, name, "main").startswith("echo: which conversation main-1 ")
    assert v1_is_down(fleet, name)
    assert v1_is_as_it_was(fleet, name)


def assert_recorded(fleet: Fleet, name: str) -> None:
    """The record is of the migration as it ended, and says so to who reads it."""
    kept = fleet.lab[name].succeed(f"cd {directory(fleet.host(name))} && cat record.json && stat -c %a record.*")
    document, _, modes = kept.rpartition("}")
    assert json.loads(document + "}") == journal(fleet, name)
    assert modes.split() == ["600", "600"]
    said = fleet.lab[name].succeed(f"cat {directory(fleet.host(name))}/record.md")
    assert "It is finished, and NanoClaw v2 serves" in said and "## Lost\n\nNothing." in said


def failed_gate_then_migrated(fleet: Fleet, name: str) -> None:
    """A v2 that does not answer is no v2: its host has its v1 back. The next run migrates it."""
    fleet.data[name]["nanoclaw_v1_gate"] = ["false"]
    run = fleet.run("-y", "--limit", "server", "--limit", name)
    fleet.data[name]["nanoclaw_v1_gate"] = GATE
    assert run.exit != 0 and "Rolled back: v1 is as it was" in run.log, run.log
    assert journal(fleet, name)["state"] == "rolled back" and left_over(fleet) == [name]
    assert v1_answers(fleet, name, "after the failure")
    fleet.deploy("--limit", name)
    assert left_over(fleet) == []
    assert_migrated(fleet, name)
    assert_recorded(fleet, name)
    assert fleet.deploy("--limit", name).changed == set()


def waves_end_at_the_first_failure(fleet: Fleet) -> None:
    """A canary, then two at once: the first two hosts serve with v2, the third, which fails its gate, has its v1 back,
    the others are untouched; a second run does the rest.
    """
    first, second, third, *others = fleet.hosts
    for name in fleet.hosts:
        fleet.data[name]["nanoclaw_v1_batch"] = 2
    fleet.data[first]["nanoclaw_v1_canary"] = True
    fleet.data[third]["nanoclaw_v1_gate"] = ["false"]
    run = fleet.run("-y", timeout=3600)
    fleet.data[third]["nanoclaw_v1_gate"] = GATE
    assert run.failed == {third, *others}, run.log
    assert "Rolled back: v1 is as it was" in run.log and f"{third} of an earlier wave failed" in run.log
    assert left_over(fleet) == [third, *others]
    for name in (first, second):
        assert_migrated(fleet, name)
    for name in (third, *others):
        assert v1_answers(fleet, name, "not migrated")
    assert journal(fleet, third)["state"] == "rolled back"
    assert {journal(fleet, name)["state"] for name in others} == {"staged"}
    fleet.deploy(timeout=3600)
    assert left_over(fleet) == []
    for name in (third, *others):
        assert_migrated(fleet, name)
    assert fleet.deploy().changed == set()
    fleet.lab[third].reboot()
    assert fleet.ask(third, "after the reboot") == "echo: after the reboot"
    assert v1_is_down(fleet, third)


def go_back(fleet: Fleet, name: str) -> None:
    """A setting puts v1 back, once."""
    fleet.data[name]["nanoclaw_v1_rollback"] = True
    fleet.deploy("--limit", name)
    assert v1_answers(fleet, name, "back again")
    fleet.data[name]["nanoclaw_v1_rollback"] = False


def suffers(fleet: Fleet, name: str, accident: Interruption) -> bool:
    """A run with an accident leaves a v1 or a v2 that serves; where it is v2, nothing is lost. Whether it is."""
    assert interrupt(fleet, name, accident), f"it did not come to {accident}"
    decided = fleet.lab[name].run(f"test -e {marker(fleet.host(name))}", check=False).returncode == 0
    assert decided == (journal(fleet, name)["state"] == "finished"), accident
    if decided:
        assert_migrated(fleet, name)
    else:
        assert v1_answers(fleet, name, f"after {accident}"), accident
    return decided


def accidents_in(fleet: Fleet, name: str, step: str) -> None:
    """From v1, a run with each accident in a step, one after the other; the run after the last one ends in v2.

    Between them nothing is repaired: a run goes on from what the accident before it left.
    """
    go_back(fleet, name)
    for number, kind in enumerate(KINDS, 1):
        decided = suffers(fleet, name, Interruption(kind, step))
        say(f"{name}: {kind} in {step!r}: {'v2' if decided else 'v1'} serves")
        if decided and number < len(KINDS):
            go_back(fleet, name)
    fleet.deploy("--limit", name)
    assert_migrated(fleet, name)
    assert_recorded(fleet, name)
