"""NanoClaw v1 installs that cannot be migrated, each with the text of its refusal. CI tries two, `make soak` all."""

from __future__ import annotations

import json
import subprocess
import time
from typing import NamedTuple

from tasks.model.migration.paths import service
from tests.e2e.digest import difference, digest
from tests.e2e.fleet import PROJECT, Fleet
from tests.e2e.interruptions import journal
from tests.e2e.migrations import v1_answers
from tests.e2e.v1_hosts import v1_of


class BadV1(NamedTuple):
    """Something wrong with a v1: shell commands that break and repair it, run as root in its project root."""

    name: str
    break_command: str
    repair_command: str
    refusal: str


_OTHER_UNIT = """\
[Service]
ExecStart=/usr/bin/node {root}/dist/index.js
WorkingDirectory={root}
"""

BAD_V1 = (
    BadV1(
        "a v2",
        "sed -i.kept 's/1[.][12][.][0-9]*/2.0.64/' package.json",
        "mv package.json.kept package.json",
        "a NanoClaw v2",
    ),
    BadV1("no database", "mv store store.kept", "mv store.kept store", "has no database, store/messages.db"),
    BadV1(
        "a corrupt database",
        "mv store/messages.db kept.db && cp -p kept.db store/messages.db && "
        "dd if=/dev/urandom of=store/messages.db bs=4096 count=1 seek=1 conv=notrunc",
        "mv kept.db store/messages.db",
        "is corrupt",
    ),
    BadV1("no space", "truncate -s 90G store/huge", "rm store/huge", "free some space"),
    BadV1(
        "a process outside of its service",
        "(setsid node {root}/dist/index.js > /dev/null 2>&1 < /dev/null & echo $! > /run/outside.pid)",
        "kill $(cat /run/outside.pid)",
        "v1 runs outside of its services",
    ),
    BadV1(
        "two services",
        "printf '%s' '{unit}' > /etc/systemd/system/other-claw.service && systemctl daemon-reload && "
        "systemctl start other-claw",
        "systemctl stop other-claw; rm /etc/systemd/system/other-claw.service; systemctl daemon-reload",
        "2 services run it",
    ),
    BadV1(
        "another owner", "chown 4321 . store/messages.db", "chown {owner} . store/messages.db", "belongs to uid 4321"
    ),
)


def refused_cases(fleet: Fleet, name: str) -> list[BadV1]:
    """The cases for which the first run over a host is refused.

    The free space of the pods is known only once they are mounted. A v1 that runs as root may have any owner.
    """
    not_here = {"no space": fleet.host(name).root_on_pods, "another owner": v1_of(name).account == "root"}
    return [bad for bad in BAD_V1 if not not_here.get(bad.name)]


def assert_refused(fleet: Fleet, name: str, bad: BadV1) -> None:
    """Break v1, check that a run is refused with the reason and changes nothing, and repair v1."""
    v1, machine = v1_of(name), fleet.lab[name]
    owner = machine.succeed(f"stat -c %u {v1.root}").strip()
    values = {"root": v1.root, "owner": owner, "unit": _OTHER_UNIT.format(root=v1.root)}
    machine.succeed(f"cd {v1.root} && {bad.break_command.format(**values)}")
    try:
        before = digest(machine)
        run = fleet.run("-y", "--limit", "server", "--limit", name)
        assert run.exit != 0 and "nothing was changed, because:" in run.log and bad.refusal in run.log, run.log
        # v1 keeps serving, and writes in its own data directory.
        changed = [line for line in difference(before, digest(machine)) if not line.startswith(f"{v1.root}/data/")]
        assert not changed, "\n".join(changed)
    finally:
        machine.succeed(f"cd {v1.root} && {bad.repair_command.format(**values)}")


def assert_full_server_is_refused(fleet: Fleet, name: str) -> None:
    """Check that a full server ends the migration once the pods are mounted, and that v1 keeps serving."""
    v1, machine = v1_of(name), fleet.lab[name]
    machine.succeed(f"truncate -s 90G {v1.root}/groups/main/huge")
    run = fleet.run("-y", "--limit", name)
    assert run.exit != 0 and "check disk space: /pods would need 9" in run.log, run.log
    assert v1_answers(fleet, name, "no room")
    machine.succeed(f"rm {v1.root}/groups/main/huge")


def assert_second_run_is_refused(fleet: Fleet, name: str) -> None:
    """Check that a second run during a migration changes nothing, and that the first run finishes."""
    attempt = journal(fleet, name)["attempt"]
    first = subprocess.Popen(
        fleet.pyinfra("-y", "--limit", name), cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 600
        while journal(fleet, name)["attempt"] == attempt and first.poll() is None and time.monotonic() < end:
            time.sleep(0.5)
        second = fleet.run("-y", "--limit", name)
        assert second.exit != 0 and "a migration is under way on this machine" in second.log, second.log
        assert service(fleet.host(name)) in second.log
        assert first.wait(timeout=900) == 0
    finally:
        first.kill()
        first.wait()
    assert journal(fleet, name)["state"] == "finished", json.dumps(journal(fleet, name), indent=1)
