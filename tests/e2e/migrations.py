"""Scenarios of a migration. CI migrates one host of one kind, `make soak` all kinds."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from files.pods.transition.step_ids import StepId
from tasks.model.migration.paths import directory, marker
from tests.e2e.fleet import Fleet
from tests.e2e.interruptions import KINDS, Interruption, interrupt, journal
from tests.e2e.v1_hosts import GATE, install_v1, v1_of
from tests.lab import v1_standin
from tests.lab.shell import say


def prepare(fleet: Fleet, names: Iterable[str], folder: Path) -> None:
    """Reset hosts, then install v1 on them as install_v1_on does."""
    names = list(names)
    fleet.lab.reset(*names)
    for name in names:
        fleet.lab["server"].run(f"find /srv/pods/{name} -mindepth 1 -delete", check=False, timeout=300)
    install_v1_on(fleet, names, folder)


def install_v1_on(fleet: Fleet, names: Iterable[str], folder: Path) -> None:
    """Install a v1 that answers on each host, and set the host data of a migration in waves of one host."""
    names = list(names)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: install_v1(fleet, name, folder), names))
        assert all(pool.map(lambda name: v1_answers(fleet, name, "before"), names))
    for name in names:
        fleet.data[name] |= {"nanoclaw_v1_dir": v1_of(name).root, "nanoclaw_gate": GATE, "nanoclaw_batch": 1}


def v1_answers(fleet: Fleet, name: str, text: str) -> bool:
    """Whether v1 on a host answers a message."""
    return v1_standin.send_message(fleet.lab[name], v1_of(name).root, text) == f"echo: {text}"


def v1_is_down(fleet: Fleet, name: str) -> bool:
    """Whether no process of v1 runs on a host."""
    return fleet.lab[name].run(f"pgrep -f {v1_of(name).root}/dist/index.js", check=False).returncode == 1


def audit_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the audit from the journal of a migration."""
    audit: dict[str, Any] = json.loads(next(step["output"] for step in document["steps"] if step["id"] == StepId.AUDIT))
    return audit


def v1_is_unchanged(fleet: Fleet, name: str) -> bool:
    """Whether v1's tree has the digest of the audit: the same bytes, owners, modes and times as when v1 stopped.

    Runs the audit again. Only the digest of v1 counts, since v2 has changed in the meantime.
    """
    work = json.loads(fleet.lab[name].succeed(f"cat {directory(fleet.host(name))}/work.json"))
    step = next(step for step in work["steps"] if step["id"] == StepId.AUDIT)
    output = fleet.lab[name].run(shlex.join(step["argv"]), input=step["input"], check=False, timeout=600).stdout
    return bool(json.loads(output.splitlines()[-1])["digest"] == audit_of(journal(fleet, name))["digest"])


def hosts_left(fleet: Fleet) -> list[str]:
    """Return the hosts that the last run did not migrate."""
    return (fleet.folder / "migration-left.txt").read_text(encoding="utf-8").split()


def resumed_conversation(fleet: Fleet, name: str, folder: str) -> str:
    """Return which conversation of v1 the agent of a migrated group resumes: its name and its length."""
    command = f"node dist/chat.js --migrated --folder {folder} --timeout 200 'which conversation'"
    return fleet.lab[name].succeed(f"cd {fleet.host(name).root} && {command}", timeout=260).strip()


def assert_migrated(fleet: Fleet, name: str) -> None:
    """Check that v2 serves with everything that v1 had, and that v1 is stopped and unchanged."""
    document = journal(fleet, name)
    assert document["state"] == "finished"
    assert audit_of(document)["lost"] == []
    assert resumed_conversation(fleet, name, "main").startswith("echo: which conversation main-1 ")
    assert v1_is_down(fleet, name)
    assert v1_is_unchanged(fleet, name)


def assert_record(fleet: Fleet, name: str) -> None:
    """Check that the record shows the finished migration, as JSON and as text."""
    kept = fleet.lab[name].succeed(f"cd {directory(fleet.host(name))} && cat record.json && stat -c %a record.*")
    document, _, modes = kept.rpartition("}")
    assert json.loads(document + "}") == journal(fleet, name)
    assert modes.split() == ["600", "600"]
    record = fleet.lab[name].succeed(f"cat {directory(fleet.host(name))}/record.md")
    assert "It is finished, and NanoClaw v2 serves" in record and "## Lost\n\nNothing." in record


def fail_gate_then_migrate(fleet: Fleet, name: str) -> None:
    """Fail the gate of a host: the run rolls back to v1, and the next run migrates it."""
    fleet.data[name]["nanoclaw_gate"] = ["false"]
    run = fleet.run("-y", "--limit", "server", "--limit", name)
    fleet.data[name]["nanoclaw_gate"] = GATE
    assert run.exit != 0 and "Rolled back: v1 is as it was" in run.log, run.log
    assert journal(fleet, name)["state"] == "rolled back" and hosts_left(fleet) == [name]
    assert v1_answers(fleet, name, "after the failure")
    fleet.deploy("--limit", name)
    assert hosts_left(fleet) == []
    assert_migrated(fleet, name)
    assert_record(fleet, name)
    assert fleet.deploy("--limit", name).changed == set()


def assert_waves_stop_at_first_failure(fleet: Fleet) -> None:
    """Check that a failed gate ends the waves, and that the next run migrates the rest.

    One canary goes first, then two hosts at once. The third host fails its gate and is rolled back to v1; the hosts
    after it are not switched.
    """
    first, second, third, *others = fleet.hosts
    for name in fleet.hosts:
        fleet.data[name]["nanoclaw_batch"] = 2
    fleet.data[first]["nanoclaw_canary"] = True
    fleet.data[third]["nanoclaw_gate"] = ["false"]
    run = fleet.run("-y", timeout=3600)
    fleet.data[third]["nanoclaw_gate"] = GATE
    assert run.failed == {third, *others}, run.log
    assert "Rolled back: v1 is as it was" in run.log and f"{third} of an earlier wave failed" in run.log
    assert hosts_left(fleet) == [third, *others]
    for name in (first, second):
        assert_migrated(fleet, name)
    for name in (third, *others):
        assert v1_answers(fleet, name, "not migrated")
    assert journal(fleet, third)["state"] == "rolled back"
    assert {journal(fleet, name)["state"] for name in others} == {"staged"}
    fleet.deploy(timeout=3600)
    assert hosts_left(fleet) == []
    for name in (third, *others):
        assert_migrated(fleet, name)
    assert fleet.deploy().changed == set()
    fleet.lab[third].reboot()
    assert fleet.send_message(third, "after the reboot") == "echo: after the reboot"
    assert v1_is_down(fleet, third)


def roll_back(fleet: Fleet, name: str) -> None:
    """Roll a host back to v1, by the setting nanoclaw_v1_rollback."""
    fleet.data[name]["nanoclaw_v1_rollback"] = True
    fleet.deploy("--limit", name)
    assert v1_answers(fleet, name, "back again")
    fleet.data[name]["nanoclaw_v1_rollback"] = False


def interrupt_and_check(fleet: Fleet, name: str, interruption: Interruption) -> bool:
    """Interrupt a run, check that v1 or v2 serves and that nothing is lost, and return whether it is v2."""
    assert interrupt(fleet, name, interruption), f"the run ended before {interruption}"
    decided = fleet.lab[name].run(f"test -e {marker(fleet.host(name))}", check=False).returncode == 0
    assert decided == (journal(fleet, name)["state"] == "finished"), interruption
    if decided:
        assert_migrated(fleet, name)
    else:
        assert v1_answers(fleet, name, f"after {interruption}"), interruption
    return decided


def interrupt_in_each_way(fleet: Fleet, name: str, step: str) -> None:
    """Interrupt a migration in one step by each kind of interruption, then check that the next run finishes it.

    Nothing is repaired in between: each run resumes from the state that the last interruption left.
    """
    roll_back(fleet, name)
    for number, kind in enumerate(KINDS, 1):
        decided = interrupt_and_check(fleet, name, Interruption(kind, step))
        say(f"{name}: {kind} in {step!r}: {'v2' if decided else 'v1'} serves")
        if decided and number < len(KINDS):
            roll_back(fleet, name)
    fleet.deploy("--limit", name)
    assert_migrated(fleet, name)
    assert_record(fleet, name)
