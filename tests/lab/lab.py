"""A lab: machines that start and stop together."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.lab.errors import LabError
from tests.lab.gitserver import serve_standin
from tests.lab.image import ensure_image
from tests.lab.machine import Machine
from tests.lab.network import NET, Subnet, claim, lower_network, raise_network
from tests.lab.paths import LABS, RUNTIME, locked, short_id
from tests.lab.requirements import unsupported_reason
from tests.lab.shell import say
from tests.lab.ssh import Connection, Keys
from tests.lab.topology import DEFAULT_TOPOLOGY, FIRST_ADDRESS, MachineSpec
from tests.lab.uml import Guest
from tests.lab.watchdog import watched


class Lab:
    """A named set of machines on one network. Other processes find it by its state folder."""

    def __init__(self, name: str = "default", topology: Sequence[MachineSpec] | None = None) -> None:
        """Name a lab; nothing starts yet. Without a topology it has its former machines, or the default four."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
            raise LabError(f"{name!r} is no lab name: use up to 31 small letters, digits and dashes")
        self.name = name
        self.state = LABS / name
        self.keys = Keys(self.state)
        saved = self._saved()
        self._index: int | None = saved["index"] if saved else None
        if topology is not None:
            self.topology = tuple(topology)
        elif saved:
            self.topology = tuple(MachineSpec(**fields) for fields in saved["topology"])
        else:
            self.topology = DEFAULT_TOPOLOGY

    # What it consists of

    @property
    def machines(self) -> dict[str, Machine]:
        """The machines by name."""
        if self._index is None:
            raise LabError(f"lab {self.name} was never started: `python -m tests.lab --lab {self.name} up`")
        subnet = Subnet(self._index)
        identity = short_id(self.state)
        addresses = [(spec.name, subnet.address(FIRST_ADDRESS + n)) for n, spec in enumerate(self.topology)]
        return {
            spec.name: Machine(
                spec=spec,
                number=number,
                subnet=subnet,
                guest=Guest(f"ncp-{identity}-{spec.name}", self.state / spec.name),
                connection=Connection(addresses[number][1], self.keys, RUNTIME / "ssh" / identity),
                hosts=tuple(addresses),
            )
            for number, spec in enumerate(self.topology)
        }

    def __getitem__(self, name: str) -> Machine:
        """The machine of this name."""
        if name not in self.machines:
            raise LabError(f"lab {self.name} has no machine {name}; it has {', '.join(self.machines)}")
        return self.machines[name]

    @property
    def is_up(self) -> bool:
        """Whether all machines run and are connected."""
        if self._index is None or not (NET / Subnet(self._index).bridge).exists():
            return False
        return all(machine.guest.pid() is not None for machine in self.machines.values())

    # Starting and stopping

    def up(self, *names: str) -> None:
        """Start the named machines, or all, in parallel, and wait until they have booted.

        Raises an error if a unit failed.
        """
        if reason := unsupported_reason():
            raise LabError(reason)
        with self._alone():
            image = ensure_image()
            self.keys.ensure()
            self._take_network()
            chosen = [self[name] for name in names or self.machines]
            say(f"lab {self.name}: starting {', '.join(machine.name for machine in chosen)}")
            for machine in chosen:
                self._prepare(machine, image)
                machine.start()
            self._each(self._report_boot, chosen)
            say(f"lab {self.name}: {len(chosen)} machines are up on {Subnet(self._index or 0).cidr}")

    def down(self) -> None:
        """End all machines at once and remove the network. Disks stay until the next reset or new image."""
        if self._index is None:
            return
        with self._alone():
            for machine in self.machines.values():
                machine.crash()
            if self._owns_network():
                lower_network(Subnet(self._index))
        say(f"lab {self.name} is down")

    def reset(self, *names: str) -> None:
        """Give the named machines, or all, a fresh disk, and boot them."""
        with self._alone():
            image = ensure_image()
            chosen = [self[name] for name in names or self.machines]
            for machine in chosen:
                machine.crash()
                self._fresh_disk(machine, image)
                machine.start()
            self._each(self._report_boot, chosen)

    def destroy(self) -> None:
        """End the lab and delete its disks and keys."""
        self.down()
        shutil.rmtree(self.state, ignore_errors=True)
        self._index = None

    @contextmanager
    def running(self, *, fresh: bool = False) -> Iterator[Lab]:
        """Start the lab, and end it afterwards if it was not running, even if this process is killed."""
        was_up = self.is_up
        if was_up and not fresh:
            yield self
            return
        if was_up:
            self.reset()
            yield self
            return
        with watched(self.name):
            try:
                if fresh:
                    self._forget_disks()
                self.up()
                yield self
            finally:
                self.down()

    # Parts of it

    def _saved(self) -> dict[str, Any] | None:
        path = self.state / "lab.json"
        if not path.exists():
            return None
        saved: dict[str, Any] = json.loads(path.read_text())
        return saved

    def _take_network(self) -> None:
        before = self._index
        subnet = claim(str(self.state), before)
        self._index = subnet.index
        fields = {"index": subnet.index, "topology": [asdict(spec) for spec in self.topology]}
        (self.state / "lab.json").write_text(json.dumps(fields, indent=2) + "\n")
        raise_network(subnet)

    def _owns_network(self) -> bool:
        path = RUNTIME / "subnets.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        return bool(known.get(str(self._index)) == str(self.state))

    def _prepare(self, machine: Machine, image: Path) -> None:
        """Keep a machine's disk, unless the image has changed since."""
        if machine.guest.pid() is None and machine.guest.image() != image:
            self._fresh_disk(machine, image)

    def _fresh_disk(self, machine: Machine, image: Path) -> None:
        machine.guest.start_afresh_from(image, machine.spec.disk)
        machine.guest.console.unlink(missing_ok=True)
        self.keys.forget(machine.address)

    def _forget_disks(self) -> None:
        for path in self.state.glob("*/image"):
            path.unlink()

    @staticmethod
    def _report_boot(machine: Machine) -> None:
        machine.wait_for_boot()
        if machine.spec.git:
            serve_standin(machine)
        say(f"  {machine.name} ({machine.address}) has booted")

    def _each(self, action: Callable[[Machine], None], machines: Sequence[Machine] | None = None) -> None:
        """Run an action on machines in parallel; raise the first failure once all have ended."""
        chosen = list(self.machines.values()) if machines is None else machines
        with ThreadPoolExecutor(max_workers=max(len(chosen), 1)) as pool:
            for result in [pool.submit(action, machine) for machine in chosen]:
                result.result()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the lab: one process at a time changes it."""
        with locked(self.state / "lock"):
            yield
