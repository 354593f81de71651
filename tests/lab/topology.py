"""The machines of a lab."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_ADDRESS = 10


@dataclass(frozen=True)
class MachineSpec:
    """A machine of a lab, before it has an address."""

    name: str
    memory: int
    docker: bool = False
    git: bool = False
    disk: int = 0
    """GB of a second disk, /dev/ubdb, which is empty at first; 0 for none."""

    def kernel_args(self) -> list[str]:
        """Kernel arguments that switch on the services of this machine."""
        return [word for word, on in (("lab.docker", self.docker), ("lab.git", self.git)) if on]


def server(name: str = "server", memory: int = 512) -> MachineSpec:
    """Return a machine for the NFS server, which also serves the stand-in NanoClaw over git://."""
    return MachineSpec(name, memory, git=True)


def host(name: str, memory: int = 1536, disk: int = 0) -> MachineSpec:
    """Return a machine with Docker, for a NanoClaw host."""
    return MachineSpec(name, memory, docker=True, disk=disk)


DEFAULT_TOPOLOGY = (server(), host("host-root"), host("host-1000"), host("host-1500"))
"""One NFS server, and a host for each kind of user that NanoClaw's host process runs as."""
