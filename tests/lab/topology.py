"""Which machines a lab has."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_ADDRESS = 10


@dataclass(frozen=True)
class MachineSpec:
    """One machine of a lab, before it has an address."""

    name: str
    memory: int
    docker: bool = False
    git: bool = False
    disk: int = 0
    """GB of a second disk, /dev/ubdb, which is empty at first; 0 for none."""

    def kernel_args(self) -> list[str]:
        """Kernel command line words that switch on what this machine runs."""
        return [word for word, on in (("lab.docker", self.docker), ("lab.git", self.git)) if on]


def server(name: str = "server", memory: int = 512) -> MachineSpec:
    """A machine to become an NFS server. It also serves the NanoClaw stand-in over git://."""
    return MachineSpec(name, memory, git=True)


def host(name: str, memory: int = 1536, disk: int = 0) -> MachineSpec:
    """A machine with Docker, to become a NanoClaw host."""
    return MachineSpec(name, memory, docker=True, disk=disk)


DEFAULT_TOPOLOGY = (server(), host("host-root"), host("host-1000"), host("host-1500"))
"""One NFS server, and a host for each kind of user that NanoClaw's host process runs as."""
