"""Runs the whole deploy on @fake machines, and counts: operations, facts and commands for each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

from tasks.bundle import entry_file, entry_of
from tasks.model.fleet.plan import HOSTS, SERVERS, FleetError, FleetPlan, Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tests.fake.machines import documents
from tests.fake.replies import fact_pattern
from tests.fake.requests import requests

PROJECT = Path(__file__).resolve().parents[2]

_FACT = fact_pattern(r"[\w.]+")

_INVENTORY = '''\
"""Machines of the @fake connector."""

import json
from pathlib import Path

from tests.fake.replies import FakeReplies as _FakeReplies

_before, _after, _requests = json.loads(Path({replies!r}).read_text())


def _data(name, data):
    replies = _FakeReplies(_before.get(name, {{}}), _after.get(name, {{}}), _requests.get(name, {{}}))
    return (name, {{**data, "fake_responses": replies, "fake_delay": 0, "fake_delay_jitter": 0}})


{servers} = [_data(name, data) for name, data in {server_data}.items()]
{hosts} = [_data(name, data) for name, data in {host_data}.items()]
'''


_CHANGED, _UNCHANGED = ("success", "hosts_with_change"), ("no_change", "error")
"""Keys of an operation in the results of a run, and in the plan of a dry one, which names only what would change."""


@dataclass(frozen=True)
class Outcome:
    """One run: the output of pyinfra, and what each machine was sent."""

    exit: int
    log: str
    document: Mapping[str, Any]
    sent: Mapping[str, list[str]]
    seconds: float

    def operations(self, machine: str) -> list[str]:
        """Names of the operations that the run had for a machine; of a dry run, those that would change it."""
        return [name for name, op in self._operations if any(machine in op[key] for key in (*_CHANGED, *_UNCHANGED))]

    def changed(self, machine: str) -> list[str]:
        """Names of the operations that changed, or in a dry run would change, a machine."""
        return [name for name, op in self._operations if any(machine in op[key] for key in _CHANGED)]

    @property
    def _operations(self) -> list[tuple[str, dict[str, list[str]]]]:
        results = self.document.get("results")
        entries = results["operations"] if results else self.document.get("plan", [])
        return [(op["name"], defaultdict(list, op)) for op in entries]

    def facts(self, machine: str) -> list[str]:
        """Return the programs that only read, in order, each program of a batch by itself."""
        return [entry for command in self.sent[machine] for entry in _facts(command)]

    def trips(self, machine: str) -> int:
        """Round trips to a machine."""
        return len(self.sent[machine])

    def commands(self, machine: str) -> list[str]:
        """Return what was sent beside facts: the name of a program, or the command itself."""
        others = [command for command in self.sent[machine] if not _FACT.search(command)]
        return [entry_of(command) or command for command in others]


def _facts(command: str) -> list[str]:
    """Return the programs that a command runs only to read."""
    match = _FACT.search(command)
    if match and match[1] == "machine.batch":
        requests = json.loads(command.rpartition("\n")[2])["request"]["requests"]
        return [request["entry"] for request in requests]
    return [match[1]] if match else []


@dataclass(frozen=True)
class Start:
    """How pyinfra is started. `{role}` and `{fleet}` stand for the directories of the two."""

    directory: str
    argv: tuple[str, ...]


FROM_THE_ROLE = Start("{role}", ("{fleet}/inventory.py", "deploy.py", "--config", "tests/fake/config.py"))


def fleet(**hosts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The data of a server and of these hosts, by their names on the @fake connector."""
    data: dict[str, dict[str, Any]] = {"@fake/server": {"ssh_hostname": "10.0.0.10"}}
    for number, (name, settings) in enumerate(hosts.items(), start=1):
        address = {"ssh_hostname": f"10.0.{number // 250 + 1}.{number % 250}", "pods_export": f"/srv/pods/{name}"}
        data[f"@fake/{name}"] = {**address, **settings}
    return data


def group_of(name: str) -> str:
    return SERVERS if name == "@fake/server" else HOSTS


def planned(data: Mapping[str, dict[str, Any]]) -> FleetPlan:
    """The plans of a fleet on the @fake connector."""
    return plan_fleet([Machine(name, (group_of(name),), it) for name, it in data.items()])


def replies(data: Mapping[str, dict[str, Any]], state: str) -> dict[str, dict[str, Any]]:
    """What machines in one `state` of tests.fake.machines answer, by machine and fact."""
    return documents(planned(data), state)


def deploy(
    folder: Path,
    data: Mapping[str, dict[str, Any]],
    state: str,
    *arguments: str,
    instead: Mapping[str, Mapping[str, Any]] | None = None,
    then: Mapping[str, Mapping[str, Any]] | None = None,
    start: Start = FROM_THE_ROLE,
) -> Outcome:
    """Runs deploy.py over machines that are all in one `state` of tests.fake.machines.

    + instead: by machine and fact, replies in place of those
    + then: the same, once an operation has sent a command
    + start: the directory in which pyinfra runs, and its arguments
    """
    try:
        documents_of = [replies(data, state), replies(data, "finished")]
        stated: Mapping[str, Any] = requests(planned(data))
    except FleetError:
        documents_of, stated = [{}, {}], {}  # The run is to say so itself.
    for facts in [*(instead or {}).values(), *(then or {}).values()]:
        assert all(entry_file(program).exists() for program in facts), "a program that is not there"
    for name, facts in (instead or {}).items():
        for answer in documents_of:
            answer[name].update(facts)
    for name, facts in (then or {}).items():
        documents_of[1][name].update(facts)
    (folder / "replies.json").write_text(json.dumps([*documents_of, stated]), encoding="utf-8")
    inventory = folder / "inventory.py"
    parts = {kind: {name: it for name, it in data.items() if group_of(name) == kind} for kind in (SERVERS, HOSTS)}
    text = _INVENTORY.format(
        replies=str(folder / "replies.json"),
        servers=SERVERS,
        hosts=HOSTS,
        server_data=pformat(parts[SERVERS]),
        host_data=pformat(parts[HOSTS]),
    )
    inventory.write_text(text, encoding="utf-8")
    sent = folder / "sent.json"
    sent.unlink(missing_ok=True)
    argv = [word.format(fleet=folder, role=PROJECT) for word in start.argv]
    begin = time.monotonic()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "pyinfra"), *argv, "--json", *arguments],
        cwd=start.directory.format(fleet=folder, role=PROJECT),
        env={**os.environ, "NANOCLAW_PODS_SENT": str(sent), "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    seconds = time.monotonic() - begin
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        document = {}
    log = done.stderr if document else done.stdout + done.stderr
    record = {name: commands or [] for name, commands in json.loads(sent.read_text()).items()} if sent.exists() else {}
    return Outcome(done.returncode, log, document, record, seconds)


@dataclass(frozen=True)
class Cost:
    """What a run costs one machine."""

    operations: int
    facts: int
    trips: int
    commands: int
    changes: int


def costs(folder: Path, data: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Cost]]:
    """What a first run, a second one, and a dry one after both cost each machine."""
    runs = {"first": ("underway", "-y"), "second": ("finished", "-y"), "dry": ("finished", "--dry")}
    return {run: _cost(deploy(folder, data, state, argument), data) for run, (state, argument) in runs.items()}


def _cost(outcome: Outcome, data: Iterable[str]) -> dict[str, Cost]:
    return {
        name: Cost(
            operations=len(outcome.operations(name)),
            facts=len(outcome.facts(name)),
            trips=outcome.trips(name),
            commands=len(outcome.commands(name)),
            changes=len(outcome.changed(name)),
        )
        for name in data
    }
