"""The reply of guard.state: files, the unit and the running process."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.protocol import decode
from files.pods.guard.protocol import GuardState, GuardStateRequest
from tests.programs import request_argv

NOTHING = GuardState(
    program=None, older=[], unit=None, enabled=False, active=False, needs_reload=False, running=[], others=[]
)


class Machine:
    """A machine with a systemctl that says what it is told, and notes what it was asked."""

    def __init__(self, path: Path) -> None:
        self.place = path
        self.units = path / "units"
        self.program = path / "programs/guard-2.pyz"
        (path / "systemctl").write_text(f'#!/bin/sh\necho "$@" > {path}/asked\ncat {path}/shown 2>/dev/null\n')
        (path / "systemctl").chmod(0o755)

    def shows(self, **properties: Any) -> None:
        (self.place / "shown").write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def read(self) -> GuardState:
        unit = "pods-guard-x.service"
        request = GuardStateRequest(unit, str(self.units / unit), str(self.program), "pods-guard-")
        done = subprocess.run(
            request_argv(request),
            env={**os.environ, "PATH": f"{self.place}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return decode(GuardState, json.loads(done.stdout.splitlines()[-1]), "guard.state")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_machine_without_a_guard(machine: Machine) -> None:
    assert machine.read() == NOTHING
    machine.shows(ActiveState="inactive", UnitFileState="", NeedDaemonReload="no", MainPID="0")
    machine.units.mkdir()
    assert machine.read() == NOTHING
    request = (machine.place / "asked").read_text().split()
    assert request[0] == "show" and request[-1] == "pods-guard-x.service"
    assert set(request[1].removeprefix("--property=").split(",")) == {
        "ActiveState",
        "UnitFileState",
        "NeedDaemonReload",
        "MainPID",
    }


def test_reply_has_unit_text_and_program_digest(machine: Machine) -> None:
    machine.units.mkdir()
    (machine.units / "pods-guard-x.service").write_bytes(b"[Unit]\n\xff")
    machine.program.parent.mkdir()
    machine.program.write_bytes(b"print()\n")
    state = machine.read()
    assert (state.unit, state.program) == ("[Unit]\n\ufffd", hashlib.sha256(b"print()\n").hexdigest())


def test_other_versions_of_the_program_are_named(machine: Machine) -> None:
    machine.program.parent.mkdir()
    for name in ("guard.py", "guard-1.pyz", "guard-2.pyz", "firewall.py", "guard-3.txt"):
        (machine.program.parent / name).touch()
    assert machine.read().older == [f"{machine.program.parent}/{name}" for name in ("guard-1.pyz", "guard.py")]


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ({"ActiveState": "active"}, {"active": True}),
        ({"ActiveState": "activating"}, {"active": True}),
        ({"ActiveState": "reloading"}, {"active": True}),
        ({"ActiveState": "failed"}, {}),
        ({"ActiveState": "deactivating"}, {}),
        ({"UnitFileState": "enabled"}, {"enabled": True}),
        ({"UnitFileState": "enabled-runtime"}, {}),
        ({"UnitFileState": "disabled"}, {}),
        ({"NeedDaemonReload": "yes"}, {"needs_reload": True}),
        ({"NeedDaemonReload": "no"}, {}),
    ],
)
def test_properties_of_systemd_are_read(machine: Machine, shown: dict[str, str], state: dict[str, bool]) -> None:
    machine.shows(**shown)
    reply = machine.read()
    assert (reply.active, reply.enabled, reply.needs_reload) == tuple(
        state.get(name, False) for name in ("active", "enabled", "needs_reload")
    )


def test_reply_has_argv_of_the_main_process(machine: Machine) -> None:
    argv = ["sleep", "60", "a b", '{"x": "\u00fc=1"}']
    with subprocess.Popen(["bash", "-c", 'exec -a "$0" sleep 60 & echo $!; wait', *argv], stdout=-1, text=True) as it:
        assert it.stdout
        it.stdout.readline()
        machine.shows(ActiveState="active", MainPID=it.pid)
        running = machine.read().running
        subprocess.run(["pkill", "-P", str(it.pid)], check=True)
        it.kill()
    assert running[-4:] == argv
    machine.shows(ActiveState="active", MainPID=it.pid)
    assert machine.read().running == [], "it has ended"


def test_only_guards_of_other_roots_are_listed(machine: Machine) -> None:
    machine.units.mkdir()
    for name in ("pods-guard-x.service", "pods-guard-y.service", "pods-guard-a.service", "pods-guard-z.timer"):
        (machine.units / name).write_text("")
    (machine.units / "my-pods-guard-b.service").write_text("")
    assert machine.read().others == ["pods-guard-a.service", "pods-guard-y.service"]
