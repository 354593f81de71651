"""A NanoClaw v1 that cannot be migrated as it is, each with the words of its refusal; CI tries two, `make soak` all."""

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
from tests.e2e.v1_hosts import old_of


class Bad(NamedTuple):
    """What is wrong with a v1: shell commands, run as root in its project root."""

    what: str
    wrong: str
    right: str
    """What puts it right again."""
    says: str


_OTHER_UNIT = """\
[Service]
ExecStart=/usr/bin/node {root}/dist/index.js
WorkingDirectory={root}
"""

BAD = (
    Bad(
        "a v2",
        "sed -i.kept 's/1[.][12][.][0-9]*/2.0.64/' package.json",
        "mv package.json.kept package.json",
        "a NanoClaw v2",
    ),
    Bad("no database", "mv store store.kept", "mv store.kept store", "has no database, store/messages.db"),
    Bad(
        "a corrupt database",
        "mv store/messages.db kept.db && cp -p kept.db store/messages.db && "
        "dd if=/dev/urandom of=store/messages.db bs=4096 count=1 seek=1 conv=notrunc",
        "mv kept.db store/messages.db",
        "is corrupt",
    ),
    Bad("no space", "truncate -s 90G store/huge", "rm store/huge", "free some space"),
    Bad(
        "a process outside of its service",
        "(setsid node {root}/dist/index.js > /dev/null 2>&1 < /dev/null & echo $! > /run/outside.pid)",
        "kill $(cat /run/outside.pid)",
        "v1 runs outside of its services",
    ),
    Bad(
        "two services",
        "printf '%s' '{unit}' > /etc/systemd/system/other-claw.service && systemctl daemon-reload && "
        "systemctl start other-claw",
        "systemctl stop other-claw; rm /etc/systemd/system/other-claw.service; systemctl daemon-reload",
        "2 services run it",
    ),
    Bad("another owner", "chown 4321 . store/messages.db", "chown {owner} . store/messages.db", "belongs to uid 4321"),
)


def cases_of(fleet: Fleet, name: str) -> list[Bad]:
    """Those that a first run over a host is refused for.

    What the pods have free is not known before they are mounted. A v1 that runs as root may belong to anybody.
    """
    none = {"no space": fleet.host(name).root_on_pods, "another owner": old_of(name).account == "root"}
    return [bad for bad in BAD if not none.get(bad.what)]


def refused(fleet: Fleet, name: str, bad: Bad) -> None:
    """A run is refused with the reason, and nothing has changed."""
    old, machine = old_of(name), fleet.lab[name]
    owner = machine.succeed(f"stat -c %u {old.root}").strip()
    words = {"root": old.root, "owner": owner, "unit": _OTHER_UNIT.format(root=old.root)}
    machine.succeed(f"cd {old.root} && {bad.wrong.format(**words)}")
    try:
        before = digest(machine)
        run = fleet.run("-y", "--limit", "server", "--limit", name)
        assert run.exit != 0 and "nothing was changed, because:" in run.log and bad.says in run.log, run.log
        # v1 serves all the while, and writes what is its own.
        changed = [line for line in difference(before, digest(machine)) if not line.startswith(f"{old.root}/data/")]
        assert not changed, "\n".join(changed)
    finally:
        machine.succeed(f"cd {old.root} && {bad.right.format(**words)}")


def refused_for_room_that_a_first_run_finds_out(fleet: Fleet, name: str) -> None:
    """What the server has free is known once the pods are mounted: the migration ends there, and v1 serves on."""
    old, machine = old_of(name), fleet.lab[name]
    machine.succeed(f"truncate -s 90G {old.root}/groups/main/huge")
    run = fleet.run("-y", "--limit", name)
    assert run.exit != 0 and "check disk space: /pods would need 9" in run.log, run.log
    assert v1_answers(fleet, name, "no room")
    machine.succeed(f"rm {old.root}/groups/main/huge")


def refused_while_one_is_under_way(fleet: Fleet, name: str) -> None:
    """A second run, while a first one migrates, changes nothing; the first one comes to its end."""
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
