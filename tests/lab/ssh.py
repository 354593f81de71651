"""Commands on a machine over OpenSSH, with one shared connection for each machine and user."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import CommandTimeoutError
from tests.lab.shell import call, environment

CONNECTION_FAILED = 255


@dataclass(frozen=True)
class Keys:
    """The key pair of a lab, and the host keys of its machines."""

    folder: Path

    @property
    def private(self) -> Path:
        """The key that opens root and operator on every machine of the lab."""
        return self.folder / "ssh_key"

    @property
    def known_hosts(self) -> Path:
        """The machines' host keys, from the first connection."""
        return self.folder / "known_hosts"

    def ensure(self) -> None:
        """Create the key pair, once for each lab."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.private.exists():
            call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.private)])
        self.known_hosts.touch()

    def public_word(self) -> str:
        """The public key without spaces, for the kernel command line."""
        kind, key = self.private.with_suffix(".pub").read_text().split()[:2]
        return f"lab.key={kind}:{key}"

    def forget(self, address: str) -> None:
        """Remove the host key of a machine: a fresh disk makes a new one."""
        lines = self.known_hosts.read_text().splitlines() if self.known_hosts.exists() else []
        kept = [line for line in lines if line.split()[:1] != [address]]
        self.known_hosts.write_text("".join(f"{line}\n" for line in kept))


@dataclass(frozen=True)
class Connection:
    """The way to reach one machine."""

    address: str
    keys: Keys
    sockets: Path

    def argv(self, user: str, *, shared: bool = True, connect_timeout: int = 10) -> list[str]:
        """Return the ssh command line, up to the machine's name."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": str(connect_timeout),
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "ServerAliveCountMax": "4",
            "ServerAliveInterval": "15",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": str(self.keys.known_hosts),
            # In parallel starts, each process would rewrite the file to hash or add names.
            "HashKnownHosts": "no",
            "UpdateHostKeys": "no",
        }
        if shared:
            options |= {"ControlMaster": "auto", "ControlPath": f"{self.sockets}/%r@%h", "ControlPersist": "600"}
        options_argv = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(self.keys.private), *options_argv, f"{user}@{self.address}"]

    def run(
        self, user: str, command: str, *, stdin: str | None, timeout: float, connect_timeout: int = 10
    ) -> subprocess.CompletedProcess[str]:
        """Run one command line in the machine's shell; status 255 means that ssh itself failed."""
        self.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        argv = [*self.argv(user, connect_timeout=connect_timeout), "--", command]
        try:
            return subprocess.run(
                argv,
                # Without an input of its own the command would read the caller's terminal.
                input=stdin or "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandTimeoutError(f"{user}@{self.address}: `{command}` took longer than {timeout:.0f} s") from error

    def close(self) -> None:
        """Close the shared connections: after a crash they would wait for a reply that never comes."""
        for path in self.sockets.glob(f"*@{self.address}"):
            call(
                ["ssh", "-F", "none", "-O", "exit", "-o", f"ControlPath={path}", self.address], check=False, timeout=10
            )
            path.unlink(missing_ok=True)
