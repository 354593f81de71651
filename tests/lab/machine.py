"""One machine of a lab, as tests use it."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import CommandFailedError, CommandTimeoutError, LabError
from tests.lab.network import Subnet, name_servers, plug_in, unplug
from tests.lab.ssh import CONNECTION_FAILED, Connection
from tests.lab.topology import FIRST_ADDRESS, MachineSpec
from tests.lab.uml import Guest

LOGINS = ("root", "operator")
BOOT_TIMEOUT = 240.0


@dataclass(frozen=True)
class Machine:
    """A machine: run commands, write files, cut its power or its network."""

    spec: MachineSpec
    number: int
    subnet: Subnet
    guest: Guest
    connection: Connection
    hosts: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The host name."""
        return self.spec.name

    @property
    def address(self) -> str:
        """The address in the lab's network."""
        return self.subnet.address(FIRST_ADDRESS + self.number)

    @property
    def processor(self) -> int:
        """The controller's processor that runs the guest. Machines and labs take turns."""
        allowed = sorted(os.sched_getaffinity(0))
        return allowed[(self.subnet.index + self.number) % len(allowed)]

    # Commands

    def run(
        self,
        command: str,
        *,
        check: bool = True,
        timeout: float = 120,
        input: str | None = None,
        user: str | int | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root, or as `user`: a name, or a uid that needs no account."""
        login = user if isinstance(user, str) and user in LOGINS else "root"
        done = self.connection.run(str(login), as_user(command, user), stdin=input, timeout=timeout)
        if check and done.returncode != 0:
            raise CommandFailedError(self.name, command, done.returncode, done.stdout, done.stderr)
        return done

    def succeed(self, command: str, *, timeout: float = 120, user: str | int | None = None) -> str:
        """Run a command that must end with 0 and return its output."""
        return self.run(command, timeout=timeout, user=user).stdout

    def fail(self, command: str, *, timeout: float = 120, user: str | int | None = None) -> str:
        """Run a command that must not end with 0 and return its output, errors included."""
        done = self.run(command, check=False, timeout=timeout, user=user)
        if done.returncode in (0, CONNECTION_FAILED):
            expected = "a failure of the command itself was expected"
            raise CommandFailedError(self.name, command, done.returncode, done.stdout, f"{expected}\n{done.stderr}")
        return done.stdout + done.stderr

    def put(self, path: str, content: str, mode: int = 0o644) -> None:
        """Write a file as root; create missing directories."""
        quoted, folder = shlex.quote(path), shlex.quote(str(Path(path).parent))
        write = f"mkdir -p -- {folder} && (umask 077 && cat > {quoted}) && chmod {mode:o} {quoted}"
        self.run(write, input=content)

    # Waiting

    def wait_until_succeeds(self, command: str, timeout: float = 60, *, user: str | int | None = None) -> str:
        """Repeat a command until it ends with 0."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(deadline - time.monotonic(), 1)
            done = self.run(command, check=False, timeout=left, user=user)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > deadline:
                raise CommandTimeoutError(
                    f"{self.name}: `{command}` still ends with {done.returncode} after {timeout:.0f} s\n"
                    f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
                )
            time.sleep(0.5)

    def wait_for_unit(self, unit: str, timeout: float = 60) -> None:
        """Wait until a unit is active. If it has failed for good, raise an error with its journal."""
        quoted = shlex.quote(unit)
        deadline = time.monotonic() + timeout
        while True:
            shown = self.succeed(f"systemctl show -p ActiveState -p Job -- {quoted}")
            facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
            state, job = facts.get("ActiveState", ""), facts.get("Job", "")
            if state == "active":
                return
            lost = state == "failed" or (state == "inactive" and not job)
            if lost or time.monotonic() > deadline:
                journal = self.run(f"journalctl -b -n 30 --no-pager -u {quoted}", check=False).stdout
                raise LabError(f"{self.name}: unit {unit} is {state}\n{journal}")
            time.sleep(0.5)

    def wait_for_ssh(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until the machine accepts commands."""
        deadline = time.monotonic() + timeout
        while True:
            if self.guest.pid() is None:
                raise LabError(f"{self.name} is not running; the end of its console:\n{self.console_tail()}")
            try:
                done = self.connection.run("root", "true", stdin=None, timeout=15, connect_timeout=5)
            except CommandTimeoutError:
                done = None
            if done is not None and done.returncode == 0:
                return
            if time.monotonic() > deadline:
                output = done.stderr if done is not None else ""
                raise LabError(
                    f"{self.name} takes no commands after {timeout:.0f} s: {output}\n"
                    f"the end of its console:\n{self.console_tail()}"
                )
            time.sleep(0.3)

    def wait_for_boot(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Wait until the machine has started all its units; raise an error if one of them failed."""
        self.wait_for_ssh(timeout)
        state = self.run("systemctl is-system-running --wait", check=False, timeout=timeout).stdout.strip()
        if state != "running":
            failed = self.run("systemctl --failed --no-legend --plain", check=False).stdout
            raise LabError(f"{self.name} is {state} after its boot\n{failed}")

    # Accidents and power

    def start(self) -> None:
        """Switch the machine on, with its old disk."""
        plug_in(self.subnet, self.number)
        self.guest.start(self.spec.memory, self.processor, self._kernel_args())

    def crash(self) -> None:
        """Cut the power: nothing is synced, no connection is closed."""
        self.guest.kill()
        self.connection.close()

    def shutdown(self, timeout: float = 120) -> None:
        """Shut the machine down cleanly."""
        if self.guest.pid() is None:
            return
        self.run("systemctl poweroff --no-block", check=False, timeout=30)
        self.connection.close()
        self.guest.wait_gone(timeout)

    def reboot(self, timeout: float = BOOT_TIMEOUT) -> None:
        """Reboot the machine cleanly and wait until it is up again."""
        self.shutdown(timeout)
        self.start()
        self.wait_for_boot(timeout)

    def cut_network(self) -> None:
        """Disconnect the machine from the network; it keeps running."""
        unplug(self.subnet, self.number)

    def restore_network(self) -> None:
        """Connect the machine to the network again."""
        plug_in(self.subnet, self.number)

    def console_log(self) -> str:
        """Return the output of the console, over all boots."""
        return self.guest.console.read_text(errors="replace") if self.guest.console.exists() else ""

    def console_tail(self, lines: int = 25) -> str:
        """Return the last lines of the console."""
        return "\n".join(self.console_log().splitlines()[-lines:])

    def _kernel_args(self) -> list[str]:
        hosts = ",".join(f"{name}:{address}" for name, address in self.hosts)
        tap = self.subnet.tap(self.number)
        hardware = self.subnet.hardware_address(FIRST_ADDRESS + self.number)
        return [
            f"vec0:transport=tap,ifname={tap},depth=128,gro=1,mac={hardware}",
            f"systemd.hostname={self.name}",
            f"lab.address={self.address}/24",
            f"lab.gateway={self.subnet.gateway}",
            f"lab.dns={','.join(name_servers())}",
            f"lab.hosts={hosts}",
            self.connection.keys.public_word(),
            *self.spec.kernel_args(),
        ]


def as_user(command: str, user: str | int | None) -> str:
    """Return a command line for root's shell that runs `command` as another user."""
    if user is None or user in LOGINS:
        return command
    quoted = shlex.quote(command)
    if isinstance(user, int):
        return f"setpriv --reuid={user} --regid={user} --clear-groups sh -c {quoted}"
    return f"runuser -u {shlex.quote(user)} -- sh -c {quoted}"
