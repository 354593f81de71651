"""Broken machines are refused with the reason, or repaired without loss."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.digest import assert_unchanged, stable_digests
from tests.e2e.fleet import PROJECT, Fleet
from tests.e2e.sample import sampled

NOTHING_CHANGED = "nothing was changed, because:"


@dataclass(frozen=True)
class BrokenMachine:
    """A command that breaks a machine, the text of its refusal, and a command that repairs it."""

    machine: str
    break_command: str
    refusal: str
    repair_command: str


REFUSED = {
    "something else is mounted on /pods": BrokenMachine(
        "host-1000",
        "systemctl stop {unit} && umount -R /pods && mount -t tmpfs elsewhere /pods",
        "host-1000: pods_path: elsewhere (tmpfs) is mounted there, not ",
        "umount /pods",
    ),
    "files beneath the mount point": BrokenMachine(
        "host-1000",
        "systemctl stop {unit} && umount -R /pods && chattr -i /pods && mkdir /pods/precious",
        "host-1000: pods_path: /pods is not mounted and holds precious",
        "rmdir /pods/precious",
    ),
    "another file exports it already": BrokenMachine(
        "server",
        "echo '/srv/pods/host-1500 {address}(ro)' > /etc/exports.d/older.exports",
        "server: exports: /etc/exports.d/older.exports exports /srv/pods/host-1500 to ",
        "rm /etc/exports.d/older.exports",
    ),
    "the uid belongs to another user": BrokenMachine(
        "host-1500",
        "systemctl stop {unit} && sed -i s/^nanoclaw:/somebody:/ /etc/passwd",
        "host-1500: nanoclaw_user: uid 1500 belongs to user somebody on this machine, not to nanoclaw: ",
        "sed -i s/^somebody:/nanoclaw:/ /etc/passwd",
    ),
    "the disk is full": BrokenMachine(
        "host-root",
        "fallocate -l $(( $(df -B1 --output=avail / | tail -1) - 104857600 )) /var/filler",
        "MiB free for /var; 1024 MiB are needed",
        "rm /var/filler",
    ),
}


ROUNDS = [
    ("something else is mounted on /pods", "another file exports it already", "the uid belongs to another user"),
    ("files beneath the mount point", "the disk is full"),
]
"""Cases of one run, each on another machine."""


@sampled(250)
@pytest.mark.parametrize("cases", ROUNDS, ids=", ".join)
def test_bad_machines_are_refused_with_every_reason(fleet: Fleet, cases: tuple[str, ...]) -> None:
    with ExitStack() as repairs:
        for broken in (REFUSED[case] for case in cases):
            machine = fleet.lab[broken.machine]
            unit = fleet.host(broken.machine).unit if broken.machine != "server" else ""
            machine.succeed(broken.break_command.format(unit=unit, address=fleet.lab["host-1500"].address))
            repairs.callback(machine.succeed, broken.repair_command)
        before = stable_digests(fleet.machines)
        run = fleet.run("-y")
        assert run.exit != 0
        assert NOTHING_CHANGED in run.log
        assert [case for case in cases if REFUSED[case].refusal not in run.log] == []
        assert_unchanged(before, fleet.machines)
    fleet.deploy()
    assert set(fleet.send_to_all(cases[0]).values()) == {f"echo: {cases[0]}"}


def test_every_bad_machine_has_a_round() -> None:
    assert sorted(case for cases in ROUNDS for case in cases) == sorted(REFUSED)


@sampled(200)
def test_missing_docker_is_installed_again(fleet: Fleet) -> None:
    """The run installs a purged Docker and the agent image again, and the agent answers."""
    host = fleet.lab["host-1500"]
    host.succeed("dpkg --force-depends --purge docker.io && rm -rf /var/lib/docker/*", timeout=300)
    fleet.deploy("--limit", "host-1500")
    assert fleet.send_message("host-1500", "docker is back") == "echo: docker is back"


@sampled(400)
def test_killed_run_is_completed_by_the_next(fleet: Fleet) -> None:
    """A bare host is complete after ten runs that were killed and one that was not, and keeps its sessions."""
    name = "host-1500"
    assert fleet.send_message(name, "before", session="kept") == "echo: before"
    kept = f"find /srv/pods/{name} -name outbound.db -exec sha256sum {{}} + | sort"
    before = fleet.lab["server"].succeed(kept)
    fleet.lab.reset(name)
    fleet.lab[name].succeed("mkdir -p /opt/nanoclaw && echo mine > /opt/precious")
    for number in range(1, 11):
        with _kill_at_operation(fleet, number, "--limit", name):
            time.sleep(1.5)
    fleet.deploy("--limit", name)
    assert fleet.deploy("--limit", name).changed == set()
    assert fleet.lab[name].succeed("cat /opt/precious").strip() == "mine"
    assert set(before.splitlines()) <= set(fleet.lab["server"].succeed(kept).splitlines())
    assert fleet.send_message(name, "after", session="kept") == "echo: after"


@contextmanager
def _kill_at_operation(fleet: Fleet, number: int, *arguments: str) -> Iterator[None]:
    """Start a run, enter the body when operation `number` starts, and kill the run after the body."""
    command = fleet.pyinfra("-y", *arguments)
    process = subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL
    )
    if process.stdout is None:
        raise RuntimeError("the run has no output to follow")
    started = 0
    for line in process.stdout:
        started += "Starting operation" in line
        if started == number:
            break
    yield
    process.kill()
    process.wait(timeout=30)
