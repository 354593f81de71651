"""The lab's machines as a fleet: their inventory, runs of the role, and messages to their agents."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat
from typing import Any

import pytest

from tasks.model.fleet.plan import HOSTS, SERVERS, FleetPlan, HostPlan, Machine
from tasks.model.fleet.plan_fleet import plan_fleet
from tests.lab.errors import CommandFailedError
from tests.lab.lab import Lab
from tests.lab.machine import Machine as LabMachine

PROJECT = Path(__file__).resolve().parents[2]
RUN_TIMEOUT = 900
ANSWER_TIMEOUT = 240

HOST_KINDS: dict[str, dict[str, Any]] = {
    "host-root": {"nanoclaw_user": "root", "nanoclaw_root": "/pods/nanoclaw-v2"},
    "host-1000": {"nanoclaw_env": {"ASSISTANT_NAME": "Andy"}},
    "host-1500": {"nanoclaw_uid": 1500},
}
"""The hosts of the lab, each with the settings that its name stands for."""


def kind_of(name: str) -> str:
    """Return the kind of a host. A larger lab has a second host of each kind: host-root-2 and so on."""
    return name.removesuffix("-2")


Change = tuple[str, str]
"""An operation's name and a machine's name."""


FINISHED = pytest.StashKey[bool]()
"""Whether the last scenario passed with the lab's own settings, so that the machines need no deploy."""


class RunFailedError(AssertionError):
    """A run of the role failed unexpectedly."""


@dataclass(frozen=True)
class Run:
    """One run of `pyinfra inventory.py deploy.py`: its `--json` output and its log."""

    exit: int
    log: str
    document: Mapping[str, Any]

    @property
    def predicted(self) -> set[Change]:
        """The changes that the check phase predicted."""
        return {(op["name"], host) for op in self.document.get("plan", ()) for host in op["hosts_with_change"]}

    def _result(self, key: str) -> set[Change]:
        operations = self.document.get("results", {}).get("operations", ())
        return {(op["name"], host) for op in operations for host in op[key]}

    @property
    def changed(self) -> set[Change]:
        """The changes that the run made."""
        return self._result("success")

    @property
    def unchanged(self) -> set[Change]:
        """The operations that changed nothing."""
        return self._result("no_change")

    @property
    def failed(self) -> set[str]:
        """Machines on which an operation failed."""
        return set(self.document.get("results", {}).get("failed_hosts", ()))


@dataclass
class Fleet:
    """Machines of a lab with their host data. Tests may change `data`: each run writes the inventory again."""

    lab: Lab
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    folder: Path = PROJECT / "build" / "e2e"

    @classmethod
    def of(cls, lab: Lab, *hosts: str) -> Fleet:
        """Return a fleet of the lab's server and these hosts; without names, one host of each kind."""
        git = f"git://{lab['server'].address}/nanoclaw.git"
        common = {
            "ssh_user": "root",
            "ssh_key": str(lab.state / "ssh_key"),
            "ssh_known_hosts_file": str(lab.state / "known_hosts"),
        }
        data: dict[str, dict[str, Any]] = {"server": {**common, "ssh_hostname": lab["server"].address}}
        for name in hosts or HOST_KINDS:
            data[name] = {
                **common,
                "ssh_hostname": lab[name].address,
                "nanoclaw_repository": git,
                "nanoclaw_repository_unencrypted": True,
                "nanoclaw_environment": {"SWEEP_INTERVAL_MS": "5000"},
                **HOST_KINDS[kind_of(name)],
            }
        return cls(lab, data, PROJECT / "build" / "e2e" / lab.name)

    @property
    def hosts(self) -> list[str]:
        """The NanoClaw hosts of the fleet."""
        return [name for name in self.data if name != "server"]

    @property
    def machines(self) -> list[LabMachine]:
        """The machines of the lab that belong to the fleet."""
        return [self.lab[name] for name in self.data]

    @property
    def plan(self) -> FleetPlan:
        """The role's plan for the data."""
        groups = {name: (SERVERS,) if name == "server" else (HOSTS,) for name in self.data}
        return plan_fleet([Machine(name, groups[name], data) for name, data in self.data.items()])

    def host(self, name: str) -> HostPlan:
        """The plan of one host."""
        return self.plan.hosts[name]

    def write_inventory(self) -> Path:
        """Write the fleet as an inventory file and return its path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "inventory.py"
        servers = [(name, data) for name, data in self.data.items() if name == "server"]
        hosts = [(name, data) for name, data in self.data.items() if name != "server"]
        path.write_text(f"{SERVERS} = {pformat(servers)}\n\n{HOSTS} = {pformat(hosts)}\n")
        return path

    def pyinfra(self, *arguments: str) -> list[str]:
        """Return the command line of a run with these arguments."""
        inventory = self.write_inventory()
        return [str(Path(sys.executable).parent / "pyinfra"), str(inventory), "deploy.py", *arguments]

    def run(self, *arguments: str, timeout: float = RUN_TIMEOUT) -> Run:
        """Run the role and return its output, whether it failed or not."""
        done = subprocess.run(
            self.pyinfra("--json", *arguments),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        try:
            document = json.loads(done.stdout)
        except json.JSONDecodeError:
            document = {}
        return Run(done.returncode, done.stderr if document else done.stdout + done.stderr, document)

    def deploy(self, *arguments: str, timeout: float = RUN_TIMEOUT) -> Run:
        """Run the role. Raise RunFailedError with the log if any machine failed."""
        run = self.run("-y", *arguments, timeout=timeout)
        if run.exit != 0 or run.failed:
            raise RunFailedError(f"the run ended with {run.exit}, failed on {sorted(run.failed)}:\n{run.log}")
        return run

    def dry_run(self, *arguments: str) -> Run:
        """Run the role with `--dry`. Raise RunFailedError with the log if it failed."""
        run = self.run("--dry", *arguments)
        if run.exit != 0:
            raise RunFailedError(f"the dry run ended with {run.exit}:\n{run.log}")
        return run

    def send_message(self, name: str, text: str, *, session: str = "default", timeout: float = ANSWER_TIMEOUT) -> str:
        """Send a message to a host's agent and return the answer."""
        plan = self.host(name)
        argv = ["node", "dist/chat.js", "--session", session, "--timeout", str(int(timeout)), text]
        command = f"cd {plan.root} && {shlex.join(argv)}"
        try:
            return self.lab[name].run(command, timeout=timeout + 30).stdout.strip()
        except CommandFailedError as error:
            output = f"{error.stdout}\n{self._diagnostics(name)}"
            raise CommandFailedError(name, command, error.returncode, output, error.stderr) from error

    def _diagnostics(self, name: str) -> str:
        """Collect logs and processes of a host that does not answer."""
        root = self.host(name).root
        command = (
            f"tail -n 25 {root}/logs/nanoclaw.log; cat {root}/data/circuit-breaker.json; docker ps -a; "
            "ps -eo pid,etimes,stat,wchan:24,user,args --sort=etimes | grep -v '\\[' | head -n 40; dmesg | tail -n 15"
        )
        return self.lab[name].run(command, check=False, timeout=60).stdout

    def send_to_all(self, text: str, *, session: str = "default") -> dict[str, str]:
        """Send a message to every host at once and return the answers by host."""
        with ThreadPoolExecutor(max_workers=len(self.hosts)) as pool:
            answers = pool.map(lambda name: self.send_message(name, text, session=session), self.hosts)
            return dict(zip(self.hosts, answers, strict=True))
